"""CSV as people have it: gzipped, in UTF-16, under lines of comment, with semicolons or tabs for commas."""

from __future__ import annotations

from lensctl.io.unpacking import inflated

GZIP_MAGIC = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
LARGEST_BYTES = 1 << 30
"""Of an unpacked file."""


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
