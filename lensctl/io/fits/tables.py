"""FITS tables (sweeps, Tractor catalogues, survey-bricks) as Arrow tables with lower-case column names.

A table is read once, sequentially, in batches of rows, gzipped or not.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.addresses import is_web
from lensctl.io.fits.header import BLOCK, Header, count_of, data_bytes, read_header
from lensctl.io.fits.packed_tables import GZIP_MAGIC, as_unpacked, is_packed, packed_tiles
from lensctl.io.fits.table_columns import FitsColumn, columns_of
from lensctl.io.provenance.steps import KEY
from lensctl.io.storage import web
from lensctl.io.storage.s3 import is_s3
from lensctl.io.temporary import temporary_folder
from lensctl.rules import schema
from lensctl.rules.errors import InputError, LensctlError, first_line

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH_ROWS = 65_536
BATCH_BYTES = 8 << 20
SKIPPED_BYTES = 1 << 20
UNIT = b"unit"
"""Where the field of a column keeps the unit that the file gives."""
PROVENANCE = "LENSCTL"
"""Keyword of a table's provenance, as one line of JSON."""


class FitsBatch:
    """Some rows of a table, in a shared buffer: only valid until the next batch is taken.

    Attributes
    ----------
    first : int
        Row number of its first row in the table.
    """

    def __init__(self, first: int, records: NDArray[Any], columns: Mapping[str, FitsColumn]) -> None:
        self.first = first
        self._records, self._columns = records, columns

    def __len__(self) -> int:
        return len(self._records)

    def column(self, name: str, rows: NDArray[np.int64] | None = None) -> pa.Array:
        """A copy of the values of a column, in all or some rows."""
        stored = self._records[name]
        return self._columns[name].arrow(stored if rows is None else stored[rows])


@dataclass(frozen=True)
class RowLayout:
    """Layout of a table's rows in its file.

    Attributes
    ----------
    columns : dict
        Columns of one value a row, by name in lower case.
    row : np.dtype
        Dtype of a stored row, with a field for each of these columns.
    rows : int
    """

    columns: dict[str, FitsColumn]
    row: np.dtype[Any]
    rows: int


def layout(header: Header, path: str) -> RowLayout:
    """The row layout from the header of a FITS table; ValueError if it is inconsistent."""
    import numpy as np

    found, width = columns_of(header)
    if width != count_of(header, "NAXIS1") or width > BATCH_BYTES:
        raise ValueError(f"its columns take {width} bytes, a row {header['NAXIS1']}")
    columns = dict(zip(schema.folded([column.name for column in found], path), found, strict=True))
    row = np.dtype(
        {
            "names": list(columns),
            "formats": [column.stored for column in found],
            "offsets": [column.offset for column in found],
            "itemsize": width,
        }
    )
    return RowLayout(columns, row, count_of(header, "NAXIS2"))


class Reading:
    """A table being read, once, from beginning to end.

    Attributes
    ----------
    names : tuple of str
        Its columns, in lower case; vector columns are skipped.
    units : dict
        Unit of each column that has one, as the file spells it.
    provenance : bytes
        What lensctl wrote of it; empty for others' tables.
    """

    def __init__(self, path: str, file: Any, header: Header, found: RowLayout, hashed: _HashedFile) -> None:
        self.names = tuple(found.columns)
        self.units = {name: column.unit for name, column in found.columns.items() if column.unit}
        self.provenance = str(header.get(PROVENANCE, "")).encode()
        self._path, self._file, self._header, self._layout, self._hashed = path, file, header, found, hashed

    def batches(self, names: Sequence[str]) -> Iterator[FitsBatch]:
        """All rows in order, with some of the columns; at least one batch. InputError if a second table follows."""
        for first, records in self._records(names):
            yield FitsBatch(first, records, self._layout.columns)
        self._refuse_second()

    def _records(self, names: Sequence[str]) -> Iterator[tuple[int, NDArray[Any]]]:
        """First row number and stored rows of each batch."""
        import numpy as np

        row, remaining, first = self._layout.row, self._layout.rows, 0
        most = max(1, min(BATCH_ROWS, BATCH_BYTES // row.itemsize))
        buffer = memoryview(bytearray(min(most, remaining) * row.itemsize))
        while remaining or not first:
            count = min(remaining, most)
            if self._file.readinto(buffer[: count * row.itemsize]) < count * row.itemsize:
                raise ValueError(f"truncated between rows {first} and {first + count}")
            yield first, np.frombuffer(buffer, row, count)
            first, remaining = first + count, remaining - count
            if not count:
                return

    def _refuse_second(self) -> None:
        read, whole = self._rows_bytes(), data_bytes(self._header)
        with contextlib.suppress(ValueError):  # what follows the last unit of a FITS file is nobody's
            _skip(self._file, -(-whole // BLOCK) * BLOCK - read)
            for header in _tables(self._file):
                raise InputError(
                    f"{self._path}: holds a second table, {str(header.get('EXTNAME') or 'without a name')!r}",
                    "write each table to a file of its own",
                )

    def _rows_bytes(self) -> int:
        """Bytes of the table that have been read from the file."""
        return self._layout.rows * self._layout.row.itemsize

    def digest(self) -> str:
        """SHA-256 of the file as stored; reads the rest of it."""
        _skip(self._file)
        return self._hashed.digest()


class _Packed(Reading):
    """A table unpacked tile by tile."""

    def __init__(self, path: str, file: Any, header: Header, found: RowLayout, hashed: _HashedFile, tiles: Any) -> None:
        super().__init__(path, file, header, found, hashed)
        self._tiles = tiles

    def _records(self, names: Sequence[str]) -> Iterator[tuple[int, NDArray[Any]]]:
        yield from self._tiles(self._layout.row, names)

    def _rows_bytes(self) -> int:
        return 0


@contextmanager
def open_fits_table(path: str) -> Iterator[Reading]:
    """Open the table of a FITS file; objects on S3 or a web server are fetched to a temporary file.

    Raises
    ------
    InputError
        No such file, no FITS table in it, or (as far as it is read) incomplete.
    """
    with ExitStack() as stack:
        local = path
        if is_web(path):
            local = str(stack.enter_context(web.fetched(path)))
        elif is_s3(path):
            from lensctl.io.storage import s3

            local = str(stack.enter_context(temporary_folder("catalogue")) / path.rsplit("/", 1)[-1])
            s3.download(path, Path(local))
        if not Path(local).is_file():
            raise InputError(f"{path}: no such file", "check the path")
        stack.enter_context(fits_errors(path))
        hashed = _HashedFile(stack.enter_context(open(local, "rb", buffering=0)))
        file: Any = io.BufferedReader(hashed)
        if file.peek(2)[:2] == GZIP_MAGIC:
            file = gzip.GzipFile(fileobj=file, mode="rb")
        header = _find_table(file, path)
        if is_packed(header):
            second = stack.enter_context(open(local, "rb"))
            _find_table(second, path)
            tiles = functools.partial(packed_tiles, second, second.tell(), header)
            yield _Packed(path, file, header, layout(as_unpacked(header), path), hashed, tiles)
        else:
            yield Reading(path, file, header, layout(header, path), hashed)


class _HashedFile(io.RawIOBase):
    """A file that hashes the bytes read from it."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view)
        self._hash.update(view[:count])
        return count

    def digest(self) -> str:
        """SHA-256 of the bytes so far."""
        return f"sha256:{self._hash.hexdigest()}"


@contextmanager
def fits_errors(path: str) -> Iterator[None]:
    """Turn library errors about a damaged FITS file into a one-line message."""
    try:
        yield
    except LensctlError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: cannot be read as FITS ({first_line(error, 120)})", "is the file complete?"
        ) from error


def _find_table(file: Any, path: str) -> Header:
    """Header of the first binary table; leaves the file at its first row."""
    header = next(_tables(file), None)
    if header is None:
        raise InputError(f"{path}: holds no FITS table", "give a sweep or Tractor catalogue")
    return header


def _tables(file: Any) -> Iterator[Header]:
    """Headers of the binary tables that follow, with the file at the first row of each."""
    while file.peek(1):
        header, _ = read_header(file)
        if str(header.get("XTENSION", "")).strip() == "BINTABLE" and header.get("ZIMAGE") is not True:
            yield header
        _skip(file, -(-data_bytes(header) // BLOCK) * BLOCK)


def _skip(file: Any, count: int | None = None) -> None:
    """Read and discard `count` bytes, or up to the end; ValueError if the file ends before."""
    while count is None or count > 0:
        read = len(file.read(SKIPPED_BYTES if count is None else min(count, SKIPPED_BYTES)) or b"")
        if not read:
            if count is None:
                return
            raise ValueError("truncated")
        count = None if count is None else count - read


def read_fits_table(path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The table of a FITS file; vector columns are skipped.

    Parameters
    ----------
    columns : sequence of str, optional
        Lower-case names; read only these, if present.
    """
    import pyarrow as pa

    with open_fits_table(path) as table:
        names = [name for name in table.names if columns is None or name in columns]
        if not names:
            return pa.table({})
        rows = pa.concat_tables(
            [pa.table({name: batch.column(name) for name in names}) for batch in table.batches(names)]
        )
        units = {name: {UNIT: unit} for name, unit in table.units.items()}
        fields = [field.with_metadata(units.get(field.name)) for field in rows.schema]
        return rows.cast(pa.schema(fields, {KEY: table.provenance} if table.provenance else None))
