"""FITS tables (sweeps, Tractor catalogues, survey-bricks) as Arrow tables with lower-case column names.

A table is read once, sequentially, in batches of rows. Columns are taken directly from the file, gzipped or not;
scaled columns are read by fitsio.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import itertools
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.fits.header import BLOCK, Header, count_of, data_bytes, read_header
from lensctl.io.fits.packed_tables import GZIP_MAGIC, as_unpacked, is_packed, packed_tiles
from lensctl.io.storage.s3 import is_s3
from lensctl.io.temporary import temporary_folder
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
CODES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "L": "V1"}
"""NumPy dtype of one value of each column type; a logical (the letter T or F) is a raw byte."""
BYTES = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}


class FitsBatch:
    """Some rows of a table, in a shared buffer: only valid until the next batch is taken.

    Attributes
    ----------
    first : int
        Row number of its first row in the table.
    """

    def __init__(self, first: int, records: NDArray[Any]) -> None:
        self.first = first
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def values(self, name: str) -> NDArray[Any]:
        """A column: numbers in native byte order, booleans, or bytes without padding."""
        import numpy as np

        values = np.ascontiguousarray(self._records[name])
        return _stripped(values) if values.dtype.kind == "S" else _native(values)

    def take(self, rows: NDArray[np.int64], names: Sequence[str]) -> pa.Table:
        """A copy of some columns of some rows."""
        import pyarrow as pa

        return pa.table({name: _arrow(self._records[name][rows]) for name in names})


@dataclass(frozen=True)
class RowLayout:
    """Layout of a table's rows in its file.

    Attributes
    ----------
    names : tuple of str
        Scalar columns, in lower case.
    plain : np.dtype
        Dtype of a row, with a field for each of these columns that is not scaled.
    rows : int
    units : dict
        Unit of each column that has one, as the file spells it.
    """

    names: tuple[str, ...]
    plain: np.dtype[Any]
    rows: int
    units: dict[str, str]


def layout(header: Header) -> RowLayout:
    """The row layout from the header of a FITS table; ValueError if it is inconsistent."""
    import numpy as np

    names, plain, units, offset = [], {}, {}, 0
    for i in range(1, count_of(header, "TFIELDS") + 1):
        form = re.match(r"(\d{0,9})([LXBIJKAEDCMPQ])", str(header.get(f"TFORM{i}", "")))
        if not form:
            raise ValueError(f"TFORM{i} is {header.get(f'TFORM{i}')}")
        count, kind = int(form[1] or 1), form[2]
        name = str(header.get(f"TTYPE{i}", f"col{i}")).strip().lower()
        scaled = header.get(f"TSCAL{i}", 1) != 1 or header.get(f"TZERO{i}", 0) != 0
        if (kind == "A" and count) or (kind in CODES and count == 1):
            names.append(name)
            if unit := header.get(f"TUNIT{i}"):
                units[name] = str(unit)
            if not scaled:
                plain[name] = (f"S{count}" if kind == "A" else CODES[kind], offset)
        offset += -(-count // 8) if kind == "X" else count * BYTES[kind]
    if offset != count_of(header, "NAXIS1") or offset > BATCH_BYTES:
        raise ValueError(f"its columns take {offset} bytes, a row {header['NAXIS1']}")
    formats, offsets = [form for form, _ in plain.values()], [at for _, at in plain.values()]
    row = np.dtype({"names": list(plain), "formats": formats, "offsets": offsets, "itemsize": offset})
    return RowLayout(tuple(names), row, count_of(header, "NAXIS2"), units)


class Reading:
    """A table being read, once, from beginning to end.

    Attributes
    ----------
    names : tuple of str
        Its columns, in lower case; vector columns are skipped.
    units : dict
        Unit of each column that has one.
    """

    def __init__(self, local: str, file: Any, hdu: int, found: RowLayout, hashed: _HashedFile) -> None:
        self.names, self.units = found.names, found.units
        self._local, self._file, self._hdu, self._layout, self._hashed = local, file, hdu, found, hashed

    def batches(self, names: Sequence[str]) -> Iterator[FitsBatch]:
        """All rows in order, with some of the columns; at least one batch."""
        import numpy as np

        row, remaining, first = self._layout.plain, self._layout.rows, 0
        if not row.names or not set(names) <= set(row.names):
            yield from self._by_fitsio(names)
            return
        most = max(1, min(BATCH_ROWS, BATCH_BYTES // row.itemsize))
        buffer = memoryview(bytearray(min(most, remaining) * row.itemsize))
        while remaining or not first:
            count = min(remaining, most)
            if self._file.readinto(buffer[: count * row.itemsize]) < count * row.itemsize:
                raise ValueError(f"truncated between rows {first} and {first + count}")
            yield FitsBatch(first, np.frombuffer(buffer, row, count))
            first, remaining = first + count, remaining - count
            if not count:
                return

    def _by_fitsio(self, names: Sequence[str]) -> Iterator[FitsBatch]:
        import fitsio

        with fitsio.FITS(self._local) as hdus:
            hdu = hdus[self._hdu]
            actual = {name.lower(): name for name in hdu.get_colnames()}
            first = 0
            while first < self._layout.rows or not first:
                stop = min(first + BATCH_ROWS, self._layout.rows)
                records = hdu.read(columns=[actual[name] for name in names], rows=range(first, stop))
                forms = [(name.lower(), _as_bytes(records.dtype[name])) for name in records.dtype.names]
                yield FitsBatch(first, records.astype(forms))
                first = stop
                if not stop:
                    return

    def digest(self) -> str:
        """SHA-256 of the file as stored; reads the rest of it."""
        _skip(self._file)
        return self._hashed.digest()


class _Packed(Reading):
    """A table unpacked tile by tile."""

    def __init__(self, local: str, file: Any, hdu: int, found: RowLayout, hashed: _HashedFile, tiles: Any) -> None:
        super().__init__(local, file, hdu, found, hashed)
        self._tiles = tiles

    def batches(self, names: Sequence[str]) -> Iterator[FitsBatch]:
        """See `Reading`."""
        if not set(names) <= set(self._layout.plain.names or ()):
            raise ValueError("its columns are both scaled and packed: unpack it with funpack")
        for first, records in self._tiles(self._layout.plain, names):
            yield FitsBatch(first, records)


@contextmanager
def open_fits_table(path: str) -> Iterator[Reading]:
    """Open the first table of a FITS file; S3 objects are fetched to a temporary file first.

    Raises
    ------
    InputError
        No such file, no FITS table in it, or (as far as it is read) incomplete.
    """
    with ExitStack() as stack:
        local = path
        if is_s3(path):
            from lensctl.io.storage import s3

            local = str(stack.enter_context(temporary_folder("catalogue")) / path.rsplit("/", 1)[-1])
            s3.download(path, Path(local))
        if not Path(local).is_file():
            raise InputError(f"{path}: no such file", "check the path")
        stack.enter_context(_fits_errors(path))
        hashed = _HashedFile(stack.enter_context(open(local, "rb", buffering=0)))
        file: Any = io.BufferedReader(hashed)
        if file.peek(2)[:2] == GZIP_MAGIC:
            file = gzip.GzipFile(fileobj=file, mode="rb")
        header, hdu = _find_table(file, path)
        if is_packed(header):
            second = stack.enter_context(open(local, "rb"))
            _find_table(second, path)
            tiles = functools.partial(packed_tiles, second, second.tell(), header)
            yield _Packed(local, file, hdu, layout(as_unpacked(header)), hashed, tiles)
        else:
            yield Reading(local, file, hdu, layout(header), hashed)


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
def _fits_errors(path: str) -> Iterator[None]:
    """Turn library errors about a damaged FITS file into a one-line message."""
    try:
        yield
    except LensctlError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: cannot be read as FITS ({first_line(error, 120)})", "is the file complete?"
        ) from error


def _find_table(file: Any, path: str) -> tuple[Header, int]:
    """Header and number of the first binary table HDU; leaves the file at its first row."""
    for number in itertools.count():
        if number and not file.peek(1):
            break
        header, _ = read_header(file)
        if str(header.get("XTENSION", "")).strip() == "BINTABLE" and header.get("ZIMAGE") is not True:
            return header, number
        _skip(file, -(-data_bytes(header) // BLOCK) * BLOCK)
    raise InputError(f"{path}: holds no FITS table", "give a sweep or Tractor catalogue")


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
    """The first table of a FITS file; vector columns are skipped.

    Parameters
    ----------
    columns : sequence of str, optional
        Lower-case names; read only these, if present.
    """
    import numpy as np
    import pyarrow as pa

    with open_fits_table(path) as table:
        names = [name for name in table.names if columns is None or name in columns]
        if not names:
            return pa.table({})
        rows = pa.concat_tables([batch.take(np.arange(len(batch)), names) for batch in table.batches(names)])
        units = {name: {UNIT: unit} for name, unit in table.units.items()}
        return rows.cast(pa.schema([field.with_metadata(units.get(field.name)) for field in rows.schema]))


def _as_bytes(kind: np.dtype[Any]) -> np.dtype[Any]:
    """The byte-string dtype of a text column; others unchanged."""
    import numpy as np

    return np.dtype(f"S{kind.itemsize // 4}") if kind.kind == "U" else kind


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in native byte order; a column of T and F as booleans."""
    import numpy as np

    if values.dtype.kind == "V":
        return np.asarray(values.view(np.uint8) == ord("T"))
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _stripped(values: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """Byte strings without trailing blanks."""
    import numpy as np

    return values if not (values.view(np.uint8) == ord(" ")).any() else np.char.strip(values)


def _arrow(values: NDArray[Any]) -> pa.Array:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = np.ascontiguousarray(values)
    if values.dtype.kind != "S":
        return pa.array(_native(values))
    letters = values.view(np.uint8)
    fixed = pa.binary(values.dtype.itemsize)
    text = pa.Array.from_buffers(fixed, len(values), [None, pa.py_buffer(letters)]).cast(pa.binary()).cast(pa.string())
    if (letters == 0).any():
        text = pc.ascii_rtrim(text, "\0")
    return pc.ascii_trim_whitespace(text) if (letters == ord(" ")).any() else text
