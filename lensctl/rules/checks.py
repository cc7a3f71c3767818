"""One answer of a gate: what was checked, the number that decided, and whether it passed."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

OFFENDERS_SHOWN = 5


class Measured(Protocol):
    """A figure with its 95 % interval and the number of rows it was measured on, such as `stats.intervals.Estimate`."""

    @property
    def value(self) -> float | None:
        """The figure; None where there was nothing to compute it from."""

    @property
    def low(self) -> float | None:
        """Lower end of its interval."""

    @property
    def high(self) -> float | None:
        """Upper end of its interval."""

    @property
    def n(self) -> int:
        """Rows."""


@dataclass(frozen=True)
class Check:
    """One check of a gate; its JSON line is what `freeze` and CI read.

    Attributes
    ----------
    gate, check : str
        Names.
    passed : bool
    value : float, int, str or None
        The number that decided; None where there was nothing to compute it from.
    low, high : float or None
        95 % interval of `value`, where it has one.
    limit : str
        What `value` is held against, such as ">= 0.65, <= 0.75"; empty where it is only reported.
    n : int
        How many rows, cutouts or objects were judged.
    offenders : tuple of str
        A few of those that failed.
    input_digest : str
        Digest of what was judged.
    note : str
        A sentence for people; empty where there is nothing to add.
    """

    gate: str
    check: str
    passed: bool
    value: float | int | str | None
    low: float | None = None
    high: float | None = None
    limit: str = ""
    n: int = 0
    offenders: tuple[str, ...] = ()
    input_digest: str = ""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; a number that is not finite is null, an empty note is left out."""
        values = {name: _plain(value) for name, value in asdict(self).items()}
        values["offenders"] = list(self.offenders)
        if not self.note:
            del values["note"]
        return values

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)

    def of(self, input_digest: str) -> Check:
        """The same check, bound to what it judged."""
        return replace(self, input_digest=input_digest)

    @property
    def judged(self) -> bool:
        """Whether it can fail; without a limit it is only reported."""
        return bool(self.limit) or not self.passed


def some(gate: str, what: str, n: int, least: int = 1) -> Check:
    """There is something to judge: a gate over nothing fails."""
    return Check(gate, f"{what} to judge", n >= least, n, limit=f">= {least}", n=n)


def none(gate: str, check: str, offenders: Iterable[object], n: int, count: int | None = None, note: str = "") -> Check:
    """There is no offender among `n`.

    Parameters
    ----------
    offenders : iterable
        All of them, or the first few where `count` says how many there are. Sorted, a few are shown.
    note : str
        Said only where there are offenders.
    """
    shown = list(offenders)
    count = len(shown) if count is None else count
    return Check(
        gate,
        check,
        count == 0,
        count,
        limit="= 0",
        n=n,
        offenders=tuple(map(str, shown[:OFFENDERS_SHOWN])),
        note=note if count else "",
    )


def share(gate: str, check: str, estimate: Measured, bounds: tuple[float, float], note: str = "") -> Check:
    """A share lies within bounds; judged by its value, with its interval beside it."""
    value, low, high, n = estimate.value, estimate.low, estimate.high, estimate.n
    passed = value is not None and bounds[0] <= value <= bounds[1]
    if not passed and low is not None and high is not None and high >= bounds[0] and low <= bounds[1]:
        note = "; ".join(filter(None, (note, f"its interval reaches into the limits: {n:,} rows are few")))
    return Check(gate, check, passed, value, low, high, f">= {bounds[0]:g}, <= {bounds[1]:g}", n, note=note)


def meets(
    gate: str,
    check: str,
    estimate: Measured,
    bounds: tuple[float, float] | None,
    note: str = "",
    offenders: Iterable[object] = (),
) -> Check:
    """A figure's 95 % interval meets the bounds: it fails only where that lies wholly beyond one of them.

    Parameters
    ----------
    estimate : Measured
        One without a value fails; one without an interval is judged by its value.
    bounds : (low, high), optional
        None: the figure is only reported.
    offenders : iterable
        A few are shown where it fails.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None:
        note = "; ".join(filter(None, ("nothing to compare: no values in one class", note)))
    if bounds is None:
        return Check(gate, check, True, value, low, high, n=estimate.n, note=note)
    passed = value is not None and (value if low is None else low) <= bounds[1]
    passed = passed and value is not None and (value if high is None else high) >= bounds[0]
    shown = () if passed else tuple(map(str, itertools.islice(offenders, OFFENDERS_SHOWN)))
    limit = f"interval meets {bounds[0]:g}..{bounds[1]:g}"
    return Check(gate, check, passed, value, low, high, limit, estimate.n, shown, note=note)


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str | None.__class__):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "item"):
        return _plain(value.item())
    return value
