"""Open the root of brick coadds: a folder, S3, or a web server."""

from __future__ import annotations

from lensctl.io.addresses import is_web
from lensctl.io.imaging.bricks import Root
from lensctl.io.imaging.local_bricks import LocalBricks
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.survey import LS_DR10, Survey


def open_root(root: str, survey: Survey = LS_DR10, *, at_once: int = 8, timeout: float = 60.0, tries: int = 6) -> Root:
    """Open a root: a folder, `s3://`, or `http://`.

    Parameters
    ----------
    survey : Survey
        Says how bricks lie below it.
    at_once : int
        Concurrent requests to a remote root.
    timeout : float
        Seconds per response.
    tries : int
        Maximum requests per object.
    """
    if is_s3(root) or is_web(root):
        from lensctl.io.imaging.remote_bricks import RemoteBricks

        return RemoteBricks(root, survey, at_once=at_once, timeout=timeout, tries=tries)
    return LocalBricks(root, survey)
