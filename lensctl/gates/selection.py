"""The selection gate: closure of a selection function on real lenses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lensctl.frozen import selection_level
from lensctl.frozen.selection_folder import TABLES, read_selection
from lensctl.frozen.selection_level import closure_interval
from lensctl.gates.registry import gate, setting
from lensctl.rules import acceptance, checks, schema
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError
from lensctl.stats.intervals import LEVEL

if TYPE_CHECKING:
    from lensctl.gates.inputs import Inputs

GATE, CLOSURE = "selection", "closure"
REPORTED = "A"
ALIKE = (
    "known lenses were found by networks like this one, so that they are easier than those that were not; evaluation, "
    "hosts, closure and search share one test split"
)
COUNTS = ("n", "pixels", "unobserved", "outside")
NEEDED = ("lenses", "threshold", *COUNTS, "recall", "p_mean", "difference", "standard_error")


@dataclass(frozen=True)
class Settings:
    """Limits of the selection gate."""

    closure: float = setting(
        acceptance.MOST_CLOSURE, "greatest difference of recall and mean p_det of lenses of tier A and B", least=0.0
    )
    min_lenses: int = setting(acceptance.CLOSURE_LENSES, "fewest lenses that tell", least=2)
    level: float = setting(LEVEL, "of the interval of all lenses; sets of them share it (Bonferroni)", least=0.5)


@gate(GATE, inputs="SELECTION_DIR", settings=Settings)
def selection(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """p_det closes on real lenses: fitted to injections, it foretells the recall of the test lenses.

    Lenses of tier A and B decide: reached where the interval of recall less mean p_det(observables) lies inside
    +-0.10, missed where it lies wholly outside, otherwise not told, and so is all of it with fewer than 100 lenses.
    Tier B alone, and the halves below and above the median signal-to-noise, fail where their interval, at a level for
    three, lies wholly beside 0. Tier A alone, with few lenses, is reported.
    """
    rows, exploratory = _read(inputs)
    yield checks.some(GATE, "thresholds with a closure", len({row["threshold"] for row in rows}))
    yield Check(GATE, "thresholds are the frozen ones", not exploratory, int(exploratory), limit="= 0", n=1)
    together = (selection_level.DECIDES, REPORTED)
    sets = [name for name in dict.fromkeys(row["lenses"] for row in rows) if name not in together]
    few = {row["threshold"] for row in rows if row["lenses"] == together[0] and row["n"] < limits.min_lenses}
    for row in rows:
        if row["lenses"] == selection_level.DECIDES:
            yield _decided(row, limits)
        elif row["lenses"] == REPORTED:
            yield _compared(row, limits.level)
        else:
            yield _part(row, 1 - (1 - limits.level) / len(sets), row["threshold"] not in few)


def _decided(row: Mapping[str, Any], limits: Settings) -> Check:
    name = selection_level.closure_of(row["threshold"])
    limit = selection_level.closure_limit(limits.closure, limits.level)
    low, high = (None, None) if row["standard_error"] is None else closure_interval(row, limits.level)
    if low is None or high is None or row["n"] < limits.min_lenses:
        note = f"not told: {row['n']} lenses, fewer than {limits.min_lenses}; {ALIKE}"
        some = row["n"] > 0
        return Check(GATE, name, some, row["difference"], low, high, limit, row["n"], note=note, told=False)
    reached = -limits.closure <= low and high <= limits.closure
    missed = low > limits.closure or high < -limits.closure
    word = "reached" if reached else "missed" if missed else "not told"
    note, told = f"{word}; {_about(row)}; {ALIKE}", reached or missed
    return Check(GATE, name, not missed, row["difference"], low, high, limit, row["n"], note=note, told=told)


def _compared(row: Mapping[str, Any], level: float) -> Check:
    """A set of lenses that is reported."""
    name, value = selection_level.closure_of(row["threshold"], row["lenses"]), row["difference"]
    if value is None:
        return Check(GATE, name, True, None, n=row["n"], note="too few lenses inside the support")
    low, high = closure_interval(row, level)
    return Check(GATE, name, True, value, low, high, n=row["n"], note=_about(row))


def _part(row: Mapping[str, Any], level: float, enough: bool) -> Check:
    """A set of lenses whose interval must hold 0, where all lenses together are enough to tell."""
    check = _compared(row, level)
    if check.value is None:
        return check
    limit = f"{100 * level:.3g} % interval holds 0"
    if not enough:
        note = f"not told: too few lenses of tier A and B; {check.note}"
        return dataclasses.replace(check, limit=limit, note=note, told=False)
    low, high = closure_interval(row, level)
    return dataclasses.replace(check, passed=low <= 0 <= high, limit=limit)


def _about(row: Mapping[str, Any]) -> str:
    reasons = (("outside", "outside the support"), ("unobserved", "without observables"))
    left_out = [f"{row[name]} {what}" for name, what in reasons if row[name]]
    return ", ".join([f"recall {row['recall']:.3f}, p_det {row['p_mean']:.3f}", *left_out])


def _read(inputs: Inputs) -> tuple[list[dict[str, Any]], bool]:
    """The closure's rows, as `selection fit` wrote them, and whether it was exploratory."""
    found = read_selection(inputs.path)
    inputs.set_digest(found.digest)
    exploratory = found.exploratory
    if CLOSURE not in found.tables:
        raise InputError(f"{found.where}: was fitted without real lenses", "fit again with --real TABLE")
    table = found.table(CLOSURE)
    schema.require(table, *NEEDED, where=f"{found.where}/{TABLES}/{CLOSURE}.parquet")
    return table.select(NEEDED).to_pylist(), exploratory
