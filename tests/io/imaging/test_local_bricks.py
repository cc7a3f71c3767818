"""Coadds in a folder: a root without any is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lensctl.io.imaging.local_bricks import LocalBricks
from lensctl.rules.errors import InputError


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: (p / "tractor").mkdir(parents=True)])
def test_a_root_without_coadds_is_refused(tmp_path: Path, make) -> None:
    make(tmp_path / "root")
    with pytest.raises(InputError, match="root: (no such folder|holds no coadd)"):
        LocalBricks(tmp_path / "root")
