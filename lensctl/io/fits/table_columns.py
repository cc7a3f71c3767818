"""Columns of a FITS binary table: what their stored values mean, as Arrow arrays.

A value is TZERO + TSCAL x what is stored. An integer equal to TNULL is null, and a logical that is neither T nor F.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lensctl.io.fits.header import Header, count_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

CODES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "L": "V1"}
"""NumPy dtype of one value of each column type; a logical (the letter T or F) is a raw byte."""
BYTES = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
MOST_COLUMNS = 999
"""Of a table, by the standard."""
OTHER_SIGN = {"B": -(1 << 7), "I": 1 << 15, "J": 1 << 31, "K": 1 << 63}
"""TZERO by which each integer type holds integers of the other signedness."""


@dataclass(frozen=True)
class FitsColumn:
    """A column of one value a row.

    Attributes
    ----------
    name : str
    kind : str
        Letter of its type, as in TFORM.
    stored : str
        NumPy dtype of a stored value.
    offset : int
        Of its bytes in a row.
    scale, zero : int or float
        TSCAL and TZERO.
    null : int or None
        TNULL.
    unit : str
        As the file spells it; empty if it says none.
    """

    name: str
    kind: str
    stored: str
    offset: int
    scale: int | float = 1
    zero: int | float = 0
    null: int | None = None
    unit: str = ""

    def arrow(self, stored: NDArray[Any]) -> pa.Array:
        """Values from stored ones: text, truth values, or numbers (float64 if they are scaled)."""
        import numpy as np
        import pyarrow as pa

        numbers = stored.astype(stored.dtype.newbyteorder("="))  # a copy: the file's buffer is filled again
        if self.kind == "A":
            return _text(numbers)
        if self.kind == "L":
            letters = numbers.view(np.uint8)
            return pa.array(letters == ord("T"), mask=(letters != ord("T")) & (letters != ord("F")))
        unknown = None if self.null is None else numbers == self.null
        if (self.scale, self.zero) == (1, OTHER_SIGN.get(self.kind)):
            sign = numbers.dtype.type(1 if self.kind == "B" else -1) << (8 * numbers.itemsize - 1)
            numbers = (numbers ^ sign).view(f"{'i' if self.kind == 'B' else 'u'}{numbers.itemsize}")
        elif (self.scale, self.zero) != (1, 0):
            numbers = self.zero + self.scale * numbers.astype(np.float64)
        return pa.array(numbers, mask=unknown)


def _text(stored: NDArray[np.bytes_]) -> pa.Array:
    """Byte strings as text, up to the first NUL and without blanks around it."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    letters = stored.view(np.uint8)
    fixed = pa.binary(stored.dtype.itemsize)
    text = pa.Array.from_buffers(fixed, len(stored), [None, pa.py_buffer(letters)]).cast(pa.binary()).cast(pa.string())
    if (letters == 0).any():
        text = pc.replace_substring_regex(text, r"(?s)\x00.*", "")
    return pc.ascii_trim_whitespace(text) if (letters == ord(" ")).any() else text


def columns_of(header: Header) -> tuple[list[FitsColumn], int]:
    """Columns of one value a row, and the bytes of a row; ValueError if the header says nothing sensible."""
    found, offset = [], 0
    for i in range(1, count_of(header, "TFIELDS") + 1):
        form = re.match(r"(\d{0,9})([LXBIJKAEDCMPQ])", str(header.get(f"TFORM{i}", "")))
        if not form:
            raise ValueError(f"TFORM{i} is {header.get(f'TFORM{i}')}")
        count, kind = int(form[1] or 1), form[2]
        name = str(header.get(f"TTYPE{i}", f"col{i}")).strip()
        unit = str(header.get(f"TUNIT{i}", "")).strip()
        if kind == "A" and count:
            found.append(FitsColumn(name, kind, f"S{count}", offset, unit=unit))
        elif kind == "L" and count == 1:
            found.append(FitsColumn(name, kind, CODES[kind], offset, unit=unit))
        elif kind in CODES and count == 1:
            scale, zero, null = _meaning(header, i, kind)
            found.append(FitsColumn(name, kind, CODES[kind], offset, scale, zero, null, unit))
        offset += -(-count // 8) if kind == "X" else count * BYTES[kind]
    return found, offset


def _meaning(header: Header, i: int, kind: str) -> Iterator[Any]:
    """TSCAL, TZERO and, of integers, TNULL of a column."""
    for key, default in (("TSCAL", 1), ("TZERO", 0)):
        value = header.get(f"{key}{i}", default)
        if isinstance(value, bool | str) or not math.isfinite(value):
            raise ValueError(f"{key}{i} is {str(value)[:20]}, not a number")
        yield value
    null = header.get(f"TNULL{i}") if kind in OTHER_SIGN else None
    if null is not None and (isinstance(null, bool) or not isinstance(null, int)):
        raise ValueError(f"TNULL{i} is {str(null)[:20]}, not an integer")
    yield null
