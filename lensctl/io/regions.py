"""Tables as regions of SAOImage DS9 (ds9.si.edu/doc/ref/region.html): a circle a row, with the galaxy's name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

RADIUS_ARCSEC = 5
HEAD = 'global color=green width=1 font="helvetica 10 normal roman"\nicrs\n'
LABELS = ("p", "tier")
"""Columns that are said beside the name, where a table has them."""


def to_regions(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: Any) -> None:
    """Write rows as regions; InputError without `ra` and `dec`, in degrees, in every row."""
    for name in ("ra", "dec"):
        if name not in schema.names:
            raise InputError(f"column '{name}' is missing, without which a row has no region", "write another format")
    file.write(f"# Region file format: DS9 version 4.1\n{HEAD}".encode())
    first = 0
    for batch in batches:
        file.writelines(f"{line}\n".encode() for line in _lines(batch, first))
        first += batch.num_rows


def _lines(batch: pa.RecordBatch, first: int) -> Iterator[str]:
    labels = [name for name in LABELS if name in batch.schema.names]
    wanted = ["ra", "dec", *(name for name in ("galaxy_id",) if name in batch.schema.names), *labels]
    for row, values in enumerate(batch.select(wanted).to_pylist(), first):
        ra, dec = _degrees(values["ra"]), _degrees(values["dec"])
        if ra is None or dec is None or not abs(dec) <= 90:
            raise InputError(
                f"row {row} has ra {values['ra']} and dec {values['dec']}, which is no place for a region",
                "leave the row out, or write another format",
            )
        said = [_plain(values.get("galaxy_id") or f"row {row}")]
        for name in labels:
            if isinstance(value := values[name], float):
                said.append(f"{name}={value:.3g}")
            elif value is not None:
                said.append(_plain(f"{name} {value}"))
        yield f'circle({ra:.7f},{dec:+.7f},{RADIUS_ARCSEC}") # text={{{" ".join(said)}}}'


def _degrees(value: Any) -> float | None:
    """A finite number of degrees; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if -360 <= number <= 360 else None


def _plain(text: Any) -> str:
    """A text without what would end it: braces and control characters."""
    return re.sub(r"[{}\x00-\x1f\x7f]", " ", str(text))
