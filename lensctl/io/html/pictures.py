"""Colour images of cutouts, embedded in the report."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.rgb import lupton_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

Read = Callable[["NDArray[np.int64]"], "NDArray[np.float32]"]
"""Reads cutouts of manifest rows: (n,) int64 to (n, S, S, B) float32 in nanomaggies."""


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def colour_pictures(read: Read, rows: NDArray[np.int64], survey: Survey) -> list[str]:
    """Colour images of manifest rows, north up, as JPEG data URIs (a quarter of the size of PNG)."""
    from matplotlib.image import imsave

    pictures = []
    for picture in lupton_rgb(read(rows), survey):
        buffer = io.BytesIO()
        imsave(buffer, picture, format="jpeg", origin="lower", pil_kwargs={"quality": 92, "subsampling": 0})
        pictures.append(data_uri(buffer.getvalue(), "jpeg"))
    return pictures
