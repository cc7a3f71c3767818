"""FITS tables (sweeps, Tractor catalogues, survey-bricks) as Arrow tables with lower-case column names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.doors.whole import is_s3
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@contextmanager
def _table_hdu(path: str) -> Iterator[Any]:
    """The first table of a FITS file, opened by fitsio; S3 objects are fetched to a temporary file first."""
    import fitsio

    with tempfile.TemporaryDirectory() as folder:
        local = path
        if is_s3(path):
            from lensctl.doors import s3

            local = str(Path(folder) / path.rsplit("/", 1)[-1])
            s3.download(path, Path(local))
        if not Path(local).is_file():
            raise InputError(f"{path}: no such file", "check the path")
        try:
            with fitsio.FITS(local) as hdus:
                tables = [hdu for hdu in hdus if hdu.get_exttype() != "IMAGE_HDU"]
                if not tables:
                    raise InputError(f"{path}: holds no FITS table", "give a sweep or Tractor catalogue")
                yield tables[0]
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f"{path}: cannot be read as FITS ({reason[:120]})", "is the file whole?") from error


def column_names(path: str) -> list[str]:
    """Column names of a file's table, in lower case."""
    with _table_hdu(path) as hdu:
        return [name.lower() for name in hdu.get_colnames()]


def read(path: str, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None) -> pa.Table:
    """The first table of a FITS file; columns of vectors are left out.

    Parameters
    ----------
    columns : sequence of str, optional
        Lower-case names; read only these, where they are there.
    rows : sequence of int, optional
        Only these rows.
    """
    import pyarrow as pa

    with _table_hdu(path) as hdu:
        present = {name.lower(): name for name in hdu.get_colnames()}
        wanted = [name for name in present if columns is None or name in columns]
        if not wanted:
            return pa.table({})
        if hdu.get_nrows() == 0:
            return pa.table({name: pa.array([], pa.null()) for name in wanted})
        data = hdu.read(columns=[present[name] for name in wanted], rows=rows)
    flat = [name for name in wanted if data[present[name]].ndim == 1]
    return pa.table({name: _arrow(data[present[name]]) for name in flat})


def _arrow(values: np.ndarray) -> pa.Array:
    """Big-endian numbers in native order, padded bytes as text."""
    import numpy as np
    import pyarrow as pa

    if values.dtype.kind == "S":
        return pa.array(np.char.strip(np.char.decode(values, "ascii")))
    return pa.array(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False)))
