"""`report.html` of a selection function: a single self-contained file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.frozen.selection_level import closure_interval
from lensctl.injection.variations import CONTROLS
from lensctl.io.html.pages import environment, page
from lensctl.rules import acceptance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.selection.p_det.axes import Axis

    Floats = NDArray[np.float64]

LARGE, MOST_CELLS = 1000, 8
"""From where numbers are shown whole; cells of two axes, and of one, that are named as failure modes."""


@dataclass(frozen=True)
class Contents:
    """What the report shows.

    Attributes
    ----------
    facts : mapping
        As in selection.json.
    tables : mapping of list of dict
        The small tables by name; those that there are not are missing.
    axes : list of dict
        See `ranges`.
    plots : mapping
        Data URIs by the name of the file.
    galleries : mapping
        By threshold, then by what is shown: cards of `pictures.cards`.
    detection_axes : (Axis, Axis)
        Of the maps.
    embedded : bool
        Whether injections and lenses have the model's embedding.
    held : mapping
        By threshold: (axis, value) of where the map holds all other axes.
    names : mapping
        By threshold: the part of its plots' names.
    """

    facts: Mapping[str, Any]
    tables: Mapping[str, list[dict[str, Any]]]
    axes: list[dict[str, Any]]
    plots: Mapping[str, str]
    held: Mapping[str, Sequence[tuple[Axis, float]]]
    names: Mapping[str, str]
    galleries: Mapping[str, Mapping[str, list[dict[str, Any]]]] = field(default_factory=dict)
    embedded: bool = False


def ranges(axes: Sequence[Axis], values: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """Where the injections lie along each axis: least, 5, 50 and 95 %, greatest, in natural units."""
    found = []
    for axis in axes:
        ends = np.quantile(values[axis.name], (0, 0.05, 0.5, 0.95, 1))
        about = {"axis": axis.name, "unit": axis.unit, "meaning": axis.meaning}
        found.append({**about, **dict(zip(("least", "p5", "p50", "p95", "greatest"), map(float, ends), strict=True))})
    return found


def brief(value: float | None) -> str:
    """A number with three digits, or all of its whole ones; a dash if there is none."""
    if value is None:
        return "–"
    return (f"{value:,.0f}" if abs(value) >= LARGE else f"{value:.3g}").replace("-", "−")


def render(shown: Contents) -> str:
    """The report as HTML, with everything that the data name escaped."""
    made = environment("lensctl.selection.report")
    made.filters["brief"] = brief
    facts = shown.facts
    return page(
        made,
        "selection.html",
        m=facts,
        t={name: shown.tables.get(name, []) for name in ("controls", "sensitivity", "parent")},
        closure=[{**row, **_interval(row)} for row in shown.tables.get("closure", [])],
        axes=shown.axes,
        plots=shown.plots,
        held=shown.held,
        names=shown.names,
        galleries=shown.galleries,
        not_asked=_not_asked(shown.tables.get("controls", [])),
        modes={name: worst(shown.tables.get("failure_modes", []), name) for name in shown.names},
        real="closure" in shown.tables or bool(facts["tables"].get("real")),
        embedded=shown.embedded,
        limits=acceptance,
    )


def _interval(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The difference in a row of closure as a figure."""
    ends = (None, None) if row["standard_error"] is None else closure_interval(row)
    return dict(zip(("value", "low", "high"), (row["difference"], *ends), strict=True))


def worst(modes: Sequence[Mapping[str, Any]], threshold: str) -> dict[str, list[Mapping[str, Any]]]:
    """The cells of a threshold that hold most of what is missed: of two axes, and of one."""
    own = [row for row in modes if row["threshold"] == threshold]
    parts = {"two": [row for row in own if row["second"]], "one": [row for row in own if not row["second"]]}
    return {name: rows[:MOST_CELLS] for name, rows in parts.items()}


def _not_asked(controls: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Controls that were not given, with what each would say."""
    given = {row["control"] for row in controls}
    return {name: meaning for name, meaning in CONTROLS.items() if name not in given}
