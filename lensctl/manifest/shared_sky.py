"""One row for one object, and no sky that two splits share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lensctl.astro import geometry
from lensctl.rules.sampling_rule import SAME_OBJECT_ARCSEC, order_key

if TYPE_CHECKING:
    import pyarrow as pa

SAME_OBJECT = f"same object as another row, within {SAME_OBJECT_ARCSEC:g} arcsec"


def one_row_per_object(
    positives: pa.Table, negatives: pa.Table, seed: int, left_out: Counter[str]
) -> tuple[pa.Table, pa.Table]:
    """The tables without rows that are another row's object, lenses first, then in the sampling order."""
    import pyarrow as pa

    ids, ra, dec, tiers, refs = (
        [*_values(positives, name), *_values(negatives, name)] for name in ("galaxy_id", "ra", "dec", "tier", "ref")
    )
    n = positives.num_rows
    near: dict[int, list[int]] = {}
    for i, j in zip(*(side.tolist() for side in geometry.pairs_among(ra, dec, SAME_OBJECT_ARCSEC)[:2]), strict=True):
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    kept = [True] * len(ids)

    def rank(row: int) -> tuple[bool, bool, str, str]:
        return row >= n, tiers[row] != "A", order_key(ids[row], seed), ids[row]

    for row in sorted(near, key=rank):
        if not kept[row]:
            continue
        for other in (other for other in near[row] if kept[other]):
            kept[other] = False
            left_out[f"{'positives' if other < n else 'negatives'}, {SAME_OBJECT}"] += 1
            if other < n:
                names = "|".join(filter(None, (refs[row], refs[other]))).split("|")
                refs[row] = "|".join(dict.fromkeys(names)) or None
    if "ref" in positives.column_names:
        place, field = positives.column_names.index("ref"), positives.schema.field("ref")
        positives = positives.set_column(place, field, pa.array(refs[:n], field.type))
    return positives.filter(pa.array(kept[:n], pa.bool_())), negatives.filter(pa.array(kept[n:], pa.bool_()))


def without_shared_sky(rows: pa.Table, sizes_arcsec: tuple[float, float], left_out: Counter[str]) -> list[bool]:
    """Which rows to keep so that no two cutouts of different splits overlap."""
    import numpy as np

    size = np.where(rows["label"].to_numpy() == 1, *sizes_arcsec)
    first, second = geometry.overlapping_pairs(rows["ra"].to_numpy(), rows["dec"].to_numpy(), size)
    splits = rows["split"].to_pylist()
    tiers = rows["tier"].to_pylist()
    rank = {"A": 0, "B": 1}
    kept = [True] * rows.num_rows
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        if splits[i] != splits[j] and kept[i] and kept[j]:
            loser = max((i, j), key=lambda row: (rank.get(tiers[row], 2), row))
            kept[loser] = False
            left_out[f"tier {tiers[loser]}, shares sky with another split"] += 1
    return kept


def _values(table: pa.Table, name: str) -> list[Any]:
    """A column as Python values; all None where the table has none."""
    return list(table[name].to_pylist()) if name in table.column_names else [None] * table.num_rows
