"""The rows that a search keeps: the highest logits, or all above a threshold, with a margin for rounding.

Logits of one device differ from those of another by rounding. So some more rows than asked for are cut again and scored
on the CPU, and the list is made of those scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro import geometry
from lensctl.frozen.layout import TOLERANCE

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

MARGIN = TOLERANCE
"""Logits of two devices are closer than this, as golden logits must be."""
MOST_IN_MARGIN = 1.0
"""Most rows within the margin below the last one kept, as a share of those kept."""

SYSTEM_ARCSEC = 5.0
"""Candidates nearer to each other than this are one system."""


@dataclass(frozen=True)
class Wanted:
    """How many rows are kept: at most `keep`, or with `logit` all that reach it."""

    keep: int
    logit: float | None = None

    def final(self, logits: NDArray[np.float64], order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the list by their final logits, from rows in order."""
        return order[logits[order] >= self.logit] if self.logit is not None else order[: self.keep]


class Top:
    """The highest of the rows added so far, or all that reach a threshold, with those in the margin below."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._rows: list[pa.Table] = []
        self._least = -np.inf if wanted.logit is None else wanted.logit - MARGIN

    def add(self, rows: pa.Table) -> None:
        """Add rows with a logit."""
        import pyarrow as pa

        logits = rows["logit"].to_numpy()
        self._rows.append(rows.filter(pa.array(logits >= self._least)))
        if self.wanted.logit is None and sum(map(len, self._rows)) > 4 * self.wanted.keep:
            self._rows = [self.rows()]

    def rows(self) -> pa.Table:
        """The rows kept, in order of place, region and id (as they were added)."""
        import pyarrow as pa

        rows = pa.concat_tables(self._rows).combine_chunks()
        keep = self.wanted.keep
        if self.wanted.logit is None and rows.num_rows > keep:
            order = ranked(rows)
            logits = rows["logit"].to_numpy()
            self._least = float(logits[order[keep - 1]]) - MARGIN
            order = order[: keep + int(MOST_IN_MARGIN * keep)]
            rows = rows.take(pa.array(np.sort(order[logits[order] >= self._least])))
        return rows


def ranked(rows: pa.Table, logits: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """Rows in order of descending logit, ties by id and region."""
    ids, regions = (np.array(rows[name].to_pylist(), "U") for name in ("galaxy_id", "region"))
    values = rows["logit"].to_numpy() if logits is None else logits
    return np.lexsort((regions, ids, -values))


def systems(candidates: pa.Table) -> pa.Table:
    """Candidates with the rank of their system, in order of rank: within a system the highest logit leads.

    Parameters
    ----------
    candidates : pa.Table
        In order of descending logit.

    Returns
    -------
    pa.Table
        The same rows with `rank` (of the system, from 1), `members` (ids of the system, joined by |) and `n_members`.
    """
    import pyarrow as pa

    group = geometry.groups_within(candidates["ra"].to_numpy(), candidates["dec"].to_numpy(), SYSTEM_ARCSEC)
    ids = candidates["galaxy_id"].to_pylist()
    members: dict[int, list[str]] = {}
    for id, of in zip(ids, group.tolist(), strict=True):  # groups are numbered in order of first appearance
        members.setdefault(of, []).append(id)
    added: dict[str, Any] = {
        "rank": pa.array(group + 1, pa.int64()),
        "members": pa.array(["|".join(members[of]) for of in group.tolist()], pa.string()),
        "n_members": pa.array([len(members[of]) for of in group.tolist()], pa.int32()),
    }
    for name, values in added.items():
        candidates = candidates.append_column(name, values)
    return candidates.take(pa.array(np.argsort(group, kind="stable")))


def leading(candidates: pa.Table) -> pa.Table:
    """One row for each system: that of its leading member."""
    import pyarrow as pa

    rank = candidates["rank"].to_numpy()
    return candidates.filter(pa.array(np.diff(rank, prepend=0) > 0))
