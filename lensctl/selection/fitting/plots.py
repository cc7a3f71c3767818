"""Plots of a selection function: p_det in maps and along axes, what arcs do to scores, controls, closure."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from lensctl.frozen.selection_level import closure_interval
from lensctl.io.html.figures import SETTINGS
from lensctl.rules.acceptance import MOST_CLOSURE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from lensctl.selection.fitting.fits import AtThreshold
    from lensctl.selection.fitting.measured import Measured
    from lensctl.selection.report.maps import Map

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#7f7f7f"
MOST_ROWS = 400
"""Most rows of a bin whose mean of p_det is drawn."""

PLAIN: Any = {**matplotlib.rcParamsDefault, **SETTINGS, "text.parse_math": False}
"""Names in the data are text, whatever signs are in them."""

SHORT = 5
"""Least ratio of the ends of an axis with logarithmic ticks."""

CONDITIONS = ("psfsize_", "psfdepth_")
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def figures(measured: Measured, maps: Mapping[str, Map]) -> Iterator[tuple[str, Figure]]:
    """Each plot with the name of its file; `maps` by the name of the threshold."""
    for fit in measured.fits:
        word, made = slug(fit.threshold.name), maps[fit.threshold.name]
        yield (
            f"map-{word}",
            _drawn(measured, (6.4, 4.6), functools.partial(_map, fit=fit, made=made)),
        )
        yield f"curves-{word}", _drawn(measured, (9.0, 7.6), functools.partial(_curves, fit=fit))
    yield "conditions", _drawn(measured, (6.4, 4.4), _conditions)
    yield "score-shift", _drawn(measured, (6.4, 4.4), _score_shift)
    for name, draw in (("controls", _controls), ("closure", _closure)):
        if name in measured.tables:
            yield name, _drawn(measured, (7.2, 4.6), draw)


def slug(name: str) -> str:
    """A threshold's name as part of a file's: fpr=0.001 is fpr-0.001."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")


def _drawn(measured: Measured, size: tuple[float, float], draw: Callable[[Figure, Measured], None]) -> Figure:
    marks = [word for word in ("exploratory", "mock") if measured.facts[word]]
    with matplotlib.rc_context(PLAIN):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, measured)
        if marks:
            figure.set_layout_engine("constrained", rect=(0, 0, 1, 0.96))
            text = ", ".join({"mock": "mock survey"}.get(word, word) for word in marks)
            figure.text(0.995, 0.99, text, ha="right", va="top", fontsize=8, color=RED)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not for each format
    return figure


def values_at(measured: Measured, fit: AtThreshold) -> dict[str, NDArray[np.float64]]:
    """Axes of the injections that were fitted at a threshold, by name: (N,) each."""
    injections = measured.given.injections
    return {axis.name: injections.numbers(axis.name)[fit.kept] for axis in fit.detection.axes}


def _map(figure: Figure, measured: Measured, fit: AtThreshold, made: Map) -> None:
    """p_det over radius and magnitude, all else at the median of the injections; blank outside the support."""
    p = made.planes["p_det"]
    axes = figure.add_subplot()
    image = axes.pcolormesh(made.x, made.y, p, vmin=0, vmax=1, cmap="cividis", shading="nearest", rasterized=True)
    known = p[made.inside]
    levels = [level for level in LEVELS if known.min() < level < known.max()] if len(known) else []
    if levels and min(p.shape) > 1:
        lines = axes.contour(made.x, made.y, p, levels=levels, colors="white", linewidths=1)
        axes.clabel(lines, fmt="%g", fontsize=8)
    figure.colorbar(image, ax=axes, label="p_det")
    axes.grid(visible=False)
    axes.set(xscale="log", xlabel=made.across.label, ylabel=made.up.label, title=f"p_det at {fit.threshold.name}")
    _label_round_values(axes)
    axes.invert_yaxis()


def _label_round_values(axes: Axes) -> None:
    """1, 2 and 5 times powers of ten along a logarithmic axis, or equal steps along a short one, as plain numbers."""
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > SHORT * low else MaxNLocator(4))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(NullLocator())


def _curves(figure: Figure, measured: Measured, fit: AtThreshold) -> None:
    """Along each axis: shares as counted, and the mean of p_det over the same injections, with its band."""
    axes_of, values = fit.detection.axes, values_at(measured, fit)
    panels = figure.subplots(-(-len(axes_of) // 4), 4, sharey=True, squeeze=False).ravel()
    for panel, axis in zip(panels, axes_of, strict=False):
        rows = [row for row in fit.cells if row["axis"] == axis.name and not row["second"]]
        middle = [(row["low"] * row["high"]) ** 0.5 if axis.log else (row["low"] + row["high"]) / 2 for row in rows]
        means = [_mean_in(fit, values, axis.name, row) for row in rows]
        panel.fill_between(middle, [m[1] for m in means], [m[2] for m in means], color=BLUE, alpha=0.25, lw=0)
        panel.plot(middle, [m[0] for m in means], color=BLUE, lw=1.5)
        told = [(x, row) for x, row in zip(middle, rows, strict=True) if row["p"] is not None]
        if told:
            p = np.array([row["p"] for _, row in told])
            ends = np.abs(np.array([[row["p_low"], row["p_high"]] for _, row in told]).T - p)
            panel.errorbar([x for x, _ in told], p, ends, fmt="o", ms=3, color=RED, lw=1)
        panel.set(xlabel=axis.label, ylim=(0, 1.02))
        if axis.log:
            panel.set_xscale("log")
            _label_round_values(panel)
    for panel in panels[len(axes_of) :]:
        panel.set_visible(False)
    figure.suptitle(f"Along each axis at {fit.threshold.name}: as counted (points), mean of p_det (line), 95 %")


def _mean_in(fit: AtThreshold, values: dict[str, Any], name: str, row: dict[str, Any]) -> tuple[float, float, float]:
    inside = np.flatnonzero((values[name] >= row["low"]) & (values[name] <= row["high"]))
    some = inside[np.unique(np.linspace(0, len(inside) - 1, min(MOST_ROWS, len(inside))).astype(int))]
    mean = fit.detection.mean({key: column[some] for key, column in values.items()})
    return mean.value, mean.low, mean.high


def _conditions(figure: Figure, measured: Measured) -> None:
    """Seeing and depth of the injections, beside those of the test lenses where they are known."""
    given = measured.given
    seeing, depth = (next(a for a in measured.fits[0].detection.axes if a.name.startswith(w)) for w in CONDITIONS)
    axes: Axes = figure.add_subplot()
    x, y = (given.injections.numbers(axis.name) for axis in (seeing, depth))
    axes.plot(x, y, ".", color=BLUE, ms=3, alpha=0.4, rasterized=True, label=f"{given.injections.hosts:,} hosts")
    table = None if given.real is None else given.real.table
    if table is not None and {seeing.name, depth.name} <= set(table.column_names):
        places = [np.asarray(table[axis.name].to_numpy(zero_copy_only=False), np.float64) for axis in (seeing, depth)]
        known = np.isfinite(places).all(axis=0) & (np.array(places) > 0).all(axis=0)
        if known.any():
            axes.plot(*(place[known] for place in places), "+", color=ORANGE, ms=5, label="real test lenses")
    axes.set(xlabel=seeing.label, ylabel=depth.label, title="Conditions in which the model was asked")
    axes.legend()


def _score_shift(figure: Figure, measured: Measured) -> None:
    """What an arc adds to the logit of its host, by magnitude, in thirds of the radius."""
    injections = measured.given.injections
    radius, magnitude = measured.fits[0].detection.axes[:2]
    x, theta, shift = (injections.numbers(name) for name in (magnitude.name, radius.name, "delta_logit"))
    edges = np.unique(np.quantile(x, np.linspace(0, 1, 13)))
    thirds = np.digitize(theta, np.quantile(theta, [1 / 3, 2 / 3]))
    axes: Axes = figure.add_subplot()
    for third, colour in enumerate((BLUE, GREEN, ORANGE)):
        part = np.digitize(x[thirds == third], edges[1:-1])
        bins = [shift[thirds == third][part == k] for k in range(max(len(edges) - 1, 1))]
        told = [(k, np.quantile(each, [0.16, 0.5, 0.84])) for k, each in enumerate(bins) if len(each)]
        if not told:
            continue
        middle = [(edges[k] + edges[min(k + 1, len(edges) - 1)]) / 2 for k, _ in told]
        low, median, high = np.array([quantiles for _, quantiles in told]).T
        some = theta[thirds == third]
        label = f"{radius.name} {some.min():.2g} to {some.max():.2g}"
        axes.fill_between(middle, low, high, color=colour, alpha=0.18, lw=0)
        axes.plot(middle, median, color=colour, lw=1.6, label=label)
    axes.axhline(0, color=GREY, lw=0.8, ls=":")
    axes.set(xlabel=magnitude.label, ylabel="logit with arc less logit of the host", title="What arcs do to the score")
    axes.legend(title="median, 16 to 84 %")


def _controls(figure: Figure, measured: Measured) -> None:
    """Shares of the controls that are detected, beside the injections that they change."""
    rows = measured.tables["controls"].to_pylist()
    names = list(dict.fromkeys(row["control"] for row in rows))
    points = list(dict.fromkeys(row["threshold"] for row in rows))
    axes = figure.add_subplot()
    for number, (point, colour) in enumerate(zip(points, _colours(), strict=False)):
        own = [row for row in rows if row["threshold"] == point and row["p"] is not None]
        place = np.array([names.index(row["control"]) for row in own]) + 0.14 * (number - (len(points) - 1) / 2)
        p = np.array([row["p"] for row in own])
        ends = np.array([[_or(row["p_low"], row["p"]), _or(row["p_high"], row["p"])] for row in own]).reshape(-1, 2)
        axes.errorbar(p, place, xerr=np.abs(ends.T - p), fmt="o", ms=4, color=colour, label=point)
        both = zip(own, place, strict=True)
        unchanged = [(row["p_unchanged"], y) for row, y in both if row["p_unchanged"] is not None]
        axes.plot([x for x, _ in unchanged], [y for _, y in unchanged], "|", color=colour, ms=10)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5))
    axes.set(xlabel="share detected; bars: the same injections unchanged")
    axes.legend()


def _closure(figure: Figure, measured: Measured) -> None:
    """Recall of real test lenses less the mean of p_det on observables, in sets of lenses."""
    rows = [row for row in measured.tables["closure"].to_pylist() if row["difference"] is not None]
    names = list(dict.fromkeys(row["lenses"] for row in rows))
    points = list(dict.fromkeys(row["threshold"] for row in rows))
    axes = figure.add_subplot()
    for number, (point, colour) in enumerate(zip(points, _colours(), strict=False)):
        own = [row for row in rows if row["threshold"] == point]
        place = [names.index(row["lenses"]) + 0.14 * (number - (len(points) - 1) / 2) for row in own]
        error = [closure_interval(row)[1] - row["difference"] for row in own]
        axes.errorbar([row["difference"] for row in own], place, xerr=error, fmt="o", ms=4, color=colour, label=point)
    axes.axvline(0, color=GREY, lw=0.8)
    axes.axvspan(-MOST_CLOSURE, MOST_CLOSURE, color=GREY, alpha=0.12, lw=0)
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(max(len(names), 1) - 0.5, -0.5), xlabel="recall of test lenses less mean p_det(observables), 95 %")
    if rows:
        axes.legend()


def _colours() -> list[str]:
    return [BLUE, ORANGE, GREEN, RED, GREY, "#cc79a7", "#56b4e9", "#000000"]


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
