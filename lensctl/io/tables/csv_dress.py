"""CSV as people have it: gzipped, in UTF-16, under comments, with semicolons or tabs; and as people may open it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lensctl.io.unpacking import inflated

if TYPE_CHECKING:
    import pyarrow as pa

GZIP_MAGIC = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
LARGEST_BYTES = 1 << 30
"""Of an unpacked file."""

FORMULA = r"^[=@+\-\t\r]"
"""What makes a spreadsheet compute a cell of text."""


def undressed(data: bytes, delimiter: str) -> tuple[bytes, str]:
    """The same table in UTF-8 from its header on, and what stands between its columns.

    Parameters
    ----------
    data : bytes
        The file.
    delimiter : str
        What is expected; a header without any is looked at for semicolons and tabs.

    Raises
    ------
    ValueError
        Damaged or too large when unpacked, or not in the encoding it begins with.
    """
    if data[:2] == GZIP_MAGIC:
        size = int.from_bytes(data[-4:], "little")
        if size > LARGEST_BYTES:
            raise ValueError(f"it would take {size / 1e9:.1f} GB")
        data = inflated(data, size)
    if data[:2] in UTF_16:
        data = data.decode("utf-16").encode()
    while data[:1] == b"#":
        data = data.partition(b"\n")[2]
    header = data.partition(b"\n")[0].decode(errors="replace")
    if delimiter not in header:
        delimiter = next((other for other in ";\t" if other in header), delimiter)
    return data, delimiter


def for_people(table: pa.Table) -> pa.Table:
    """A table whose texts no spreadsheet takes for a formula: they begin with ' where they would begin with = @ + or -.

    Only for CSV that people open. The parquet beside it, and CSV that a command writes as its output, hold the data as
    they are, because other commands read them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = table.column(place)
            computed = pc.match_substring_regex(column, FORMULA)
            quoted = pc.replace_substring_regex(column, "^", "'", max_replacements=1)
            table = table.set_column(place, field, pc.if_else(computed, quoted, column))
    return table
