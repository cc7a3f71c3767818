"""Lens candidates of a catalogue: selected, graded, duplicates merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.astro import geometry
from lensctl.io.tables.lens_catalogs import TIERS, grade_of
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Lenses:
    """Lens candidates, one per object on the sky, and counts of catalogue rows selected, merged and left out."""

    rows: pa.Table
    selected: int
    merged: int
    ungraded: int


def select(catalog: pa.Table, *, name_contains: str = "DESI-", merge_arcsec: float = 3.0) -> Lenses:
    """Candidates of a lens catalogue that have a tier, with duplicates merged.

    Rows within `merge_arcsec` of each other are one object: position and reference are those of the best grade (the
    first in the catalogue among equals), and all names are kept, joined by |.

    Raises InputError if no row is left.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if name_contains and catalog["name"].null_count < catalog.num_rows:
        catalog = catalog.filter(pc.fill_null(pc.match_substring(catalog["name"], name_contains), False))
        if catalog.num_rows == 0:
            raise InputError(
                f"no name in the lens catalogue contains '{name_contains}'", "use another --name-contains, or ''"
            )
    selected = catalog.num_rows
    tiers = [grade_of(text) for text in catalog["grading"].to_pylist()]
    graded = np.array([tier in TIERS for tier in tiers], bool)
    if not graded.any():
        found = sorted({text or "none" for text in catalog["grading"].to_pylist()})[:5]
        raise InputError(
            f"no row of the lens catalogue is graded confident, probable, A or B (found: {', '.join(found)})",
            "see column 'grading'",
        )
    catalog = catalog.append_column("tier", pa.array(tiers, pa.string())).filter(pa.array(graded))
    labels = geometry.groups_within(catalog["ra"].to_numpy(), catalog["dec"].to_numpy(), merge_arcsec)
    order = np.lexsort((np.arange(len(labels)), catalog["tier"].to_numpy(zero_copy_only=False).astype("U1"), labels))
    first = order[np.r_[True, np.diff(labels[order]) > 0]]  # the best of each group
    names = _joined(catalog["name"].to_pylist(), labels)
    rows = catalog.take(pa.array(first)).append_column("names", pa.array(names, pa.string()))
    return Lenses(rows, selected, int(graded.sum()) - len(first), int((~graded).sum()))


def _joined(names: Sequence[str | None], labels: NDArray[np.int64]) -> list[str]:
    groups: dict[int, dict[str, None]] = {}
    for name, label in zip(names, labels, strict=True):
        groups.setdefault(int(label), {}).update(dict.fromkeys((name or "").split("|")))
    return ["|".join(filter(None, groups[label])) for label in sorted(groups)]
