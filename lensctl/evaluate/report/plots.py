"""The plots of an evaluation: ROC, purity against completeness, reliability, score histograms, recall by stratum.

Each is a matplotlib figure that depends only on the evaluation; `figures.render` returns its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from lensctl.evaluate.evaluation import Evaluation
from lensctl.evaluate.listings import names_of
from lensctl.evaluate.prevalence import sampling_ratio
from lensctl.io.html.figures import SETTINGS
from lensctl.stats.intervals import FEW

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#7f7f7f"
SPLIT_STYLES: Mapping[str, Mapping[str, Any]] = {
    "test": {"color": BLUE, "lw": 2, "zorder": 3},
    "val": {"color": ORANGE, "lw": 1.2},
    "train": {"color": GREY, "lw": 1, "ls": "--"},
}
CLASS_COLOURS = {"A": RED, "B": ORANGE, "N1": BLUE, "N2": GREEN}
CLASS_NAMES = {"A": "tier A lenses", "B": "tier B lenses", "N1": "N1 galaxies", "N2": "N2 hard confusers"}
MOST_GROUPS = 12
"""Maximum number of discovery catalogues plotted."""


def draw(name: str, evaluation: Evaluation) -> Figure:
    """Draw one of PLOTS."""
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **SETTINGS}):
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        PLOTS[name](figure, evaluation)
        if evaluation.metrics["mock"]:
            figure.set_layout_engine("constrained", rect=(0, 0, 1, 0.96))
            figure.text(0.995, 0.99, "mock survey", ha="right", va="top", fontsize=8, color=RED)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not for each format
    return figure


def _roc(figure: Figure, evaluation: Evaluation) -> None:
    axes = figure.add_subplot()
    table = evaluation.tables["roc"].to_pydict()
    split = np.array(table["split"])
    fpr, recall = np.array(table["fpr"]), np.array(table["recall"])
    others = evaluation.metrics["ranking"]["test"]["others"]
    floor = 0.5 / max(others, 1)
    for name, style in SPLIT_STYLES.items():
        in_split = split == name
        if in_split.any():
            auc = evaluation.metrics["ranking"][name]["auc"]["value"]
            x = np.maximum(np.append(0, fpr[in_split]), floor)
            shown = name if auc is None else f"{name}, AUC {auc:.4f}"
            axes.step(x, np.append(0, recall[in_split]), where="post", label=shown, **style)
            if name == "test":
                ends = [np.array(table[f"recall_{end}"], float)[in_split] for end in ("low", "high")]
                _bars(axes, np.maximum(fpr[in_split], floor), ends, step="post")
    spots: dict[tuple[float, float], list[str]] = {}
    for point in evaluation.metrics["thresholds"]["points"]:
        rate, found = point["test"]["fpr"]["value"], point["test"]["recall"]["value"]
        if rate is not None and found is not None:
            x = max(rate, floor)
            axes.plot(x, found, "o", color=BLUE, mfc="white", ms=5, zorder=4, clip_on=False)
            near = next((s for s in spots if abs(np.log10(s[0] / x)) < 0.1 and abs(s[1] - found) < 0.05), (x, found))
            spots.setdefault(near, []).append(f"{_named(point)}: FPR {rate:.2g}" if rate else _named(point))
    for spot, names in spots.items():
        axes.annotate(", ".join(names), spot, (7, -10), textcoords="offset points", fontsize=8)
    few = FEW / max(others, 1)
    axes.axvspan(floor, few, color="#f3ece0", lw=0, zorder=0, label=f"fewer than {FEW} false positives")
    axes.plot(np.geomspace(floor, 1, 200), np.geomspace(floor, 1, 200), color=GREY, lw=0.8, ls=":", label="chance")
    axes.set(
        xscale="log",
        xlim=(floor, 1),
        ylim=(0, 1.02),
        xlabel="false positive rate (left edge: none)",
        ylabel="recall",
        title="ROC with 95% intervals of recall; circles: thresholds chosen on val",
    )
    axes.legend(loc="lower right")


def _purity(figure: Figure, evaluation: Evaluation) -> None:
    axes = figure.add_subplot()
    ratio, sky = sampling_ratio(evaluation.test), evaluation.metrics["sky"]
    sampled = "as sampled" if ratio is None else f"as sampled, {ratio:.3g} non-lenses per lens"
    on_sky_label = "" if sky is None else f"on the sky, at a prevalence of {sky['prevalence']:g}"
    curves = {"purity_completeness": sampled, "purity_completeness_sky": on_sky_label}
    for (name, label), colour in zip(curves.items(), (BLUE, RED), strict=True):
        if name in evaluation.tables:
            table = evaluation.tables[name].to_pydict()
            axes.plot(table["completeness"], table["purity"], color=colour, label=label)
            ends = [np.array(table[f"purity_{end}"], float) for end in ("low", "high")]
            _bars(axes, np.array(table["completeness"], float), ends, colour)
    on_sky = evaluation.metrics["sky"] is not None
    axes.set(
        xlim=(0, 1.01),
        yscale="log" if on_sky else "linear",
        ylim=(evaluation.metrics["sky"]["prevalence"], 1.2) if on_sky else (0, 1.02),
        xlabel="completeness (fraction of lenses found)",
        ylabel="purity (fraction of lenses among candidates)",
        title="Purity vs. completeness on test, with 95% intervals at each threshold",
    )
    axes.legend(loc="lower left")


def _reliability(figure: Figure, evaluation: Evaluation) -> None:
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    rows = [row for row in evaluation.tables["reliability"].to_pylist() if row["bins"] == "equal width"]
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", label="perfect calibration")
    styles = {"p": (BLUE, "o", "uncalibrated p"), "calibrated p": (RED, "s", "calibrated on val")}
    for which, (of, (colour, marker, label)) in enumerate(styles.items()):
        mine = [row for row in rows if row["of"] == of]
        if not mine:
            continue
        x = np.array([row["mean_p"] for row in mine])
        y = np.array([row["observed"] for row in mine], float)
        span = np.abs(np.array([[row[f"observed_{end}"] for row in mine] for end in ("low", "high")], float) - y)
        axes.errorbar(x, y, np.nan_to_num(span), fmt=marker, ms=4, lw=1, color=colour, label=label)
        edges = np.array([row["low"] for row in mine]) + 0.05 + (which - 0.5) * 0.035
        counts.bar(edges, [row["n"] for row in mine], width=0.035, color=colour)
    axes.set(
        ylim=(-0.02, 1.02), ylabel="fraction of lenses", title="Reliability on test (no bar: fewer than ten pixels)"
    )
    axes.legend(loc="upper left")
    counts.set(xlim=(0, 1), yscale="log", xlabel="predicted probability", ylabel="rows")


def _histogram(figure: Figure, evaluation: Evaluation) -> None:
    axes = figure.add_subplot()
    test = evaluation.test
    bins = np.linspace(*_span(test.logit), 41).tolist()
    for tier, colour in CLASS_COLOURS.items():
        mine = test.logit[test.tier == tier]
        if len(mine):
            style: dict[str, Any] = {"histtype": "step", "lw": 1.5}
            if tier == "B":
                style = {"histtype": "stepfilled", "alpha": 0.4}
            axes.hist(mine, bins, color=colour, label=f"{CLASS_NAMES[tier]} ({len(mine):,})", **style)
    axes.set_yscale("log")
    top = 10 * axes.get_ylim()[1]
    places: dict[float, list[str]] = {}
    for point in evaluation.metrics["thresholds"]["points"]:
        if point["logit"] is None:
            continue
        axes.axvline(point["logit"], color="black", lw=0.7, ls="--")
        near = next((x for x in places if abs(x - point["logit"]) < 0.04 * (bins[-1] - bins[0])), point["logit"])
        places.setdefault(near, []).append(_named(point))
    for x, names in places.items():
        axes.text(x, top, ", ".join(names) + " ", rotation=90, ha="right", va="top", fontsize=7)
    axes.set(ylim=(0.7, top), xlabel="logit", ylabel="rows", title="Scores on test by class, thresholds from val")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=8)


def _named(threshold: Mapping[str, Any]) -> str:
    """What a threshold was chosen for."""
    target = threshold["target_fpr"]
    return str(threshold["name"]) if target is None else f"for FPR {target:g} on val"


def _bars(axes: Axes, x: np.ndarray, ends: Sequence[np.ndarray], colour: str = BLUE, **style: Any) -> None:
    """Intervals as a band through the places where they are known."""
    known = np.isfinite(ends[0]) & np.isfinite(ends[1])
    axes.fill_between(x[known], ends[0][known], ends[1][known], color=colour, alpha=0.13, lw=0, **style)


def _span(logit: np.ndarray) -> tuple[float, float]:
    low, high = float(logit.min()), float(logit.max())
    return (low, high) if high > low else (low - 1, high + 1)


def _strata(figure: Figure, evaluation: Evaluation) -> None:
    rows = [row for row in evaluation.tables["strata"].to_pylist() if row["recall"] is not None]
    shown = names_of(evaluation.test.survey)
    drawn: list[dict[str, Any]] = []
    for by in shown:
        mine = [row for row in rows if row["by"] == by]
        drawn += sorted(mine, key=lambda row: -row["lenses"])[:MOST_GROUPS] if by == "ref" else mine
    figure.set_size_inches(6.4, max(3.0, 0.9 + 0.2 * len(drawn)))
    axes: Axes = figure.add_subplot()
    names = [by for by in shown if by != "confuser_category"]
    colours = (RED, BLUE, GREEN, ORANGE, PURPLE, GREY)
    for y, row in enumerate(drawn):
        colour = colours[names.index(row["by"])]
        if row["recall_low"] is not None:
            axes.plot([row["recall_low"], row["recall_high"]], [y, y], color=colour, lw=1.5)
        axes.plot(row["recall"], y, "o", color=colour, mfc="white" if row["recall_few"] else colour, ms=5)
    overall = evaluation.metrics["at_p_half"]["recall"]["value"]
    if overall is not None:
        axes.axvline(overall, color=GREY, lw=0.8, ls=":", label=f"all lenses: {overall:.3f}")
        axes.legend(loc="lower left")
    labels = [f"{shown[row['by']]} {_short(row['group'])} ({row['lenses']:,})" for row in drawn]
    axes.set_yticks(range(len(drawn)), labels, fontsize=8)
    axes.set(
        ylim=(len(drawn) - 0.4, -0.6),
        xlim=(0, 1.02),
        xlabel="recall at p = 0.5, with 95% interval where it has one;\nopen: fewer than ten found or missed",
        title="Recall by stratum on test (number of lenses)",
    )


def _short(name: str) -> str:
    name = name.split(" - ")[0]
    return name if len(name) <= 28 else name[:27] + "…"


PLOTS: Mapping[str, Callable[[Figure, Evaluation], None]] = {
    "roc": _roc,
    "purity_completeness": _purity,
    "reliability": _reliability,
    "score_histogram": _histogram,
    "recall_by_stratum": _strata,
}
"""Plots by file name."""
