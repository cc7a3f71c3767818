"""The selection rule of `sample`: how many rows of each stratum, and which.

Rows are taken in ascending order of the hex MD5 of the UTF-8 text "{seed}:{galaxy_id}", ties by galaxy_id. MD5
because DuckDB, Spark, Postgres and Python all agree on it, in every version.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SEED = 42
"""The usual seed of the order."""

SAME_OBJECT_ARCSEC = 1.0
"""Rows at most so far apart are one object under several ids; a manifest keeps one of them."""


def order_key(galaxy_id: str, seed: int) -> str:
    """Sort key of one galaxy: 32 hex digits."""
    return hashlib.md5(f"{seed}:{galaxy_id}".encode(), usedforsecurity=False).hexdigest()


def draw_key(purpose: str, galaxy_id: str, seed: int) -> str:
    """Sort key of one galaxy for a draw among rows that the rule has chosen: 32 hex digits, each as likely.

    `order_key` of the same seed will not do: chosen rows are those of the lowest keys.
    """
    return order_key(f"{purpose}:{galaxy_id}", seed)


def order_sql(column: str, seed: int) -> str:
    """The same key as SQL for DuckDB, Spark and Postgres."""
    return f"md5(concat('{int(seed)}:', {column}))"


@dataclass(frozen=True)
class Quota:
    """Rows of one stratum that are wanted, available, and taken.

    `filled_from` is the pool that made up for a shortfall of the other ("" if there was none).
    """

    stratum: tuple[str, ...]
    positives: int
    available_n1: int
    available_n2: int
    target: int
    taken_n1: int
    taken_n2: int
    filled_from: str

    @property
    def shortfall(self) -> int:
        """Rows wanted but missing from both pools of the stratum."""
        return self.target - self.taken_n1 - self.taken_n2


def targets(
    positives: Mapping[tuple[str, ...], int], *, per_positive: int, cap: int | None
) -> dict[tuple[str, ...], int]:
    """Rows wanted per stratum: `per_positive` per positive, scaled down to `cap` in total.

    Scaling is by largest remainder, ties in the order of the strata, so the sum is exactly `cap`.
    """
    wanted = {stratum: per_positive * count for stratum, count in sorted(positives.items())}
    total = sum(wanted.values())
    if cap is None or total <= cap:
        return wanted
    floors = {stratum: cap * rows // total for stratum, rows in wanted.items()}
    by_remainder = sorted(wanted, key=lambda stratum: (-(cap * wanted[stratum] % total), stratum))
    for stratum in by_remainder[: cap - sum(floors.values())]:
        floors[stratum] += 1
    return floors


def quota(
    stratum: tuple[str, ...],
    positives: int,
    available: Sequence[int],
    target: int,
    *,
    n2_share: float,
) -> Quota:
    """Divide a stratum's target between N1 and N2; each makes up for a shortfall of the other.

    Parameters
    ----------
    available : (N1 rows, N2 rows) of this stratum in the pool
    n2_share : float
        N2 gets floor(n2_share * target + 0.5) rows, N1 the rest.
    """
    n1_available, n2_available = available
    n2 = math.floor(n2_share * target + 0.5)
    n1 = target - n2
    taken_n1, taken_n2 = min(n1, n1_available), min(n2, n2_available)
    from_n1 = min(n2 - taken_n2, n1_available - taken_n1)
    from_n2 = min(n1 - taken_n1, n2_available - taken_n2)
    filled_from = "N1" if from_n1 else "N2" if from_n2 else ""
    taken_n1, taken_n2 = taken_n1 + from_n1, taken_n2 + from_n2
    return Quota(stratum, positives, n1_available, n2_available, target, taken_n1, taken_n2, filled_from)
