"""Result of one gate check: what was checked, the measured value, and whether it passed."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

OFFENDERS_SHOWN = 5

GATE_VERSION = 2
"""Version of what gates judge, in every line: 2 judges the background of cutouts and PSFs, where 1, which has no
version in its lines, did not."""


class Measured(Protocol):
    """A value with its 95 % interval and the number of rows it was measured on, such as `stats.intervals.Estimate`."""

    @property
    def value(self) -> float | None:
        """The value; None if there was no data to compute it from."""

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""

    @property
    def n(self) -> int:
        """Rows."""


@dataclass(frozen=True)
class Check:
    """One check of a gate; `freeze` and CI read its JSON line.

    Attributes
    ----------
    gate, check : str
        Names.
    passed : bool
    value : float, int, str or None
        The measured value; None if there was no data to compute it from.
    low, high : float or None
        95 % interval of `value`, if it has one.
    limit : str
        Limit on `value`, such as ">= 0.65, <= 0.75"; empty if the value is only reported.
    n : int
        Number of rows, cutouts or objects checked.
    offenders : tuple of str
        A few of those that failed.
    input_digest : str
        Digest of the data checked.
    note : str
        A remark for people; may be empty.
    told : bool
        Whether the interval tells: it lies wholly on one side of the limit.
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
    told: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; non-finite numbers are null; an empty note is left out, and `told` where it is true."""
        values = {name: _plain(value) for name, value in asdict(self).items()}
        values["offenders"] = list(self.offenders)
        values["gate_version"] = GATE_VERSION
        if not self.note:
            del values["note"]
        if self.told:
            del values["told"]
        return values

    def as_json(self) -> str:
        """One line of JSON, also of names in somebody's file that are not UTF-8."""
        line = json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)
        return line.encode("utf-8", "backslashreplace").decode("utf-8")

    def of(self, input_digest: str) -> Check:
        """The same check with the digest of the data checked."""
        return replace(self, input_digest=input_digest)

    @property
    def judged(self) -> bool:
        """Whether it has a limit; without one the value is only reported."""
        return bool(self.limit) or not self.passed


def some(gate: str, what: str, n: int, least: int = 1) -> Check:
    """Check that there is data: a gate over no rows fails."""
    return Check(gate, f"{what} to judge", n >= least, n, limit=f">= {least}", n=n)


def none(gate: str, check: str, offenders: Iterable[object], n: int, count: int | None = None, note: str = "") -> Check:
    """Check that there is no offender among `n`.

    Parameters
    ----------
    offenders : iterable
        All offenders, or the first few if `count` gives their number; the first few are shown.
    note : str
        Only used if there are offenders.
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
    """Check that a fraction lies within bounds, judged by its value; the interval is reported."""
    value, low, high, n = estimate.value, estimate.low, estimate.high, estimate.n
    passed = value is not None and bounds[0] <= value <= bounds[1]
    if not passed and low is not None and high is not None and high >= bounds[0] and low <= bounds[1]:
        note = "; ".join(filter(None, (note, f"the interval overlaps the limits: {n:,} rows are few")))
    return Check(gate, check, passed, value, low, high, f">= {bounds[0]:g}, <= {bounds[1]:g}", n, note=note)


def split_share(
    gate: str, check: str, estimate: Measured, bounds: tuple[float, float], setting: str, pixels: int, effective: float
) -> Check:
    """Check the share of a split by its interval over pixels: fails only if that lies entirely outside the bounds.

    Without an interval, because there are too few pixels, it is judged by its value, and says so.

    Parameters
    ----------
    setting : str
        Name of the setting of the bounds, for the advice.
    pixels, effective
        Number of pixels, and of equally full ones that would scatter as much.
    """
    value, has_interval = estimate.value, estimate.low is not None
    notes = []
    if value is not None and not has_interval:
        as_good = f"{pixels:,} pixels, as good as {effective:.1f} equally full ones, are too few for an interval"
        notes.append(f"judged by its value: {as_good}")
    found = (meets if has_interval else share)(gate, check, estimate, bounds)
    if value is None:
        notes.append("there are no rows")
    elif not found.passed:
        notes.append(
            "whole pixels are in one split: take more sky or fewer rows of crowded pixels, or allow it with "
            f"--set {gate}.{setting}=LOW,HIGH"
        )
    elif not bounds[0] <= value <= bounds[1]:
        notes.append(f"outside the limits by its value, but {pixels:,} pixels cannot tell")
    return replace(found, note="; ".join(notes))


def meets(
    gate: str,
    check: str,
    estimate: Measured,
    bounds: tuple[float, float] | None,
    note: str = "",
    offenders: Iterable[object] = (),
) -> Check:
    """Check that a 95 % interval overlaps the bounds: fails only if it lies entirely outside them.

    Parameters
    ----------
    estimate : Measured
        Fails without a value; is judged by its value if it has no interval.
    bounds : (low, high), optional
        None: the value is only reported.
    offenders : iterable
        A few are shown if the check fails.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None:
        note = "; ".join(filter(None, ("nothing to compare: no values in one class", note)))
    if bounds is None:
        return Check(gate, check, True, value, low, high, n=estimate.n, note=note)
    passed = value is not None and math.isfinite(value) and (value if low is None else low) <= bounds[1]
    passed = passed and value is not None and (value if high is None else high) >= bounds[0]
    shown = () if passed else tuple(map(str, itertools.islice(offenders, OFFENDERS_SHOWN)))
    limit = meets_limit(*bounds)
    return Check(gate, check, passed, value, low, high, limit, estimate.n, shown, note=note)


def meets_limit(low: float, high: float) -> str:
    """The limit of a check that an interval overlaps these bounds."""
    return f"interval meets {low:g}..{high:g}"


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str | None.__class__):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "item"):
        return _plain(value.item())
    return value
