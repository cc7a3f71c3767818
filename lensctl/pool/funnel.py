"""How many catalogue rows each criterion removed, and statistics of the rows kept."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lensctl.rules.acceptance import MIN_POOL_ROWS, N2_SHARE, min_pool_types
from lensctl.rules.survey import Survey


def classified(survey: Survey) -> tuple[str, ...]:
    """Columns whose values are counted."""
    return ("pool", "confuser_category", "split", survey.nobs_bin, "type")


@dataclass
class Funnel:
    """Rows read, removed by each criterion (in the order they are applied) and kept; and the bad files.

    For the kept rows also the number in each class, nulls in critical columns, duplicate ids, and rows at the place of
    a lens, as `lens_units.RowsNear`.
    """

    read: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    nulls: int = 0
    repeated: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    in_units: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, other: Funnel) -> None:
        """Add the counts of another file."""
        self.read += other.read
        self.lost.update(other.lost)
        self.kept += other.kept
        for name, counts in other.counts.items():
            self.counts.setdefault(name, Counter()).update(counts)
        self.nulls += other.nulls
        self.repeated += other.repeated
        self.bad.update(other.bad)
        for unit, counts in other.in_units.items():
            self.in_units.setdefault(unit, Counter()).update(counts)


def funnel_from(fields: dict[str, Any]) -> Funnel:
    """A funnel read back from JSON; an exception of Python if it is of another shape."""
    counts = {name: _counter(of) for name, of in fields["counts"].items()}
    in_units = {unit: _counter(of) for unit, of in fields.get("in_units", {}).items()}
    whole = {name: operator.index(fields[name]) for name in ("read", "kept", "nulls", "repeated")}
    return Funnel(
        **{
            **fields,
            **whole,
            "lost": _counter(fields["lost"]),
            "counts": counts,
            "in_units": in_units,
            "bad": dict(fields["bad"]),
        }
    )


def _counter(counts: dict[str, Any]) -> Counter[str]:
    return Counter({name: operator.index(count) for name, count in counts.items()})


def validation(funnel: Funnel, survey: Survey) -> list[tuple[str, float | int, str, bool]]:
    """Validation table of a pool, by the default limits of its gate: metric, value, target, whether it is met."""
    table: list[tuple[str, float | int, str, bool]] = [
        ("rows", funnel.kept, f">= {MIN_POOL_ROWS:,}", funnel.kept >= MIN_POOL_ROWS),
        ("duplicate ids", funnel.repeated, "0", not funnel.repeated),
    ]
    n2_low, n2_high = N2_SHARE
    shares = {"N1": ("pool", (1 - n2_high, 1 - n2_low)), "N2": ("pool", N2_SHARE)}
    shares |= {name: ("split", limits) for name, limits in survey.share_limits.items()}
    for name, (column, (low, high)) in shares.items():
        share = funnel.counts.get(column, Counter())[name] / funnel.kept
        table.append((f"{name}, %", 100 * share, f"{100 * low:g} to {100 * high:g}", low <= share <= high))
    types, least = len(funnel.counts.get("type", ())), min_pool_types(survey)
    table.append(("galaxy types", types, f">= {least}", types >= least))
    table.append(("nulls in critical columns", funnel.nulls, "0", not funnel.nulls))
    return table


def classes(funnel: Funnel) -> list[tuple[str, str, int, float]]:
    """Composition of a pool: column, value, rows, share in percent."""
    return [
        (name, value, count, 100.0 * count / funnel.kept)
        for name, of in funnel.counts.items()
        for value, count in sorted(of.items())
    ]
