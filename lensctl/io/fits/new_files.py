"""New FITS files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def new_fits(path: Path) -> Iterator[Any]:
    """A FITS file to fill, in memory until it is whole: cfitsio has a syntax of its own in paths."""
    import fitsio

    with fitsio.FITS("mem://", "rw") as file:
        yield file
        data = file.read_raw()
    path.write_bytes(data)
