"""p_det of injections whose p_det is known: intervals hold it as often as they say (SELECTION.md, 7.6)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lensctl.rules.survey import LS_DR10
from lensctl.selection.p_det.axes import physical_axes, transformed
from lensctl.selection.p_det.detection import fit_detection
from lensctl.stats.fits import penalised_logistic as regression
from tests.toys import known_detection

AXES = physical_axes(LS_DR10)
PARTS = 8


def bins_of(made):
    """Rows of 8 x 8 cells of radius and magnitude, and of eighths of each axis, and which lie across the cliff."""
    part = {name: np.digitize(x, np.quantile(x, np.linspace(0, 1, PARTS + 1))[1:-1]) for name, x in made.values.items()}
    cells = [(part["theta_e"] == i) & (part["arc_mag_r"] == j) for i in range(PARTS) for j in range(PARTS)]
    alone = [(name, part[name] == i) for name in part for i in range(PARTS)]
    across = [False] * len(cells) + [name == "psfsize_r" and bool(made.at_cliff[rows].any()) for name, rows in alone]
    return [np.flatnonzero(rows) for rows in (*cells, *(rows for _, rows in alone))], np.array(across)


def judged(seed, hosts, pixels):
    """How a fit compares with the truth: in bins, in rows, and in the mean over a population of faint lenses."""
    made = known_detection.injections(seed, hosts=hosts, pixels=pixels)
    fitted = fit_detection(AXES, made.values, made.detected, made.pixel).detection
    found = fitted.predict(made.values)
    bins, across = bins_of(made)
    means = [fitted.mean(made.rows(rows)) for rows in bins]
    truth = np.array([made.p[rows].mean() for rows in bins])
    held = np.array([mean.low <= p <= mean.high for mean, p in zip(means, truth, strict=True)])
    weight = 10 ** (0.3 * made.values["arc_mag_r"]) / made.values["theta_e"]
    mean = fitted.mean(made.values, weight)
    low, high = alone(fitted, made, bins)
    return SimpleNamespace(
        bins=held[~across].mean(),
        bins_alone=((low <= truth) & (truth <= high))[~across].mean(),
        cliff=np.abs([mean.value - p for mean, p in zip(means, truth, strict=True)])[across].max(),
        rows=((found.low <= made.p) & (made.p <= found.high)).mean(),
        off=np.abs(found.p - made.p).mean(),
        population=mean.low <= np.average(made.p, weights=weight) <= mean.high,
        ceiling=fitted.facts["ceiling"],
    )


def alone(fitted, made, bins):
    """Ends of the intervals of bins that rows would have if they were independent."""
    design = fitted.functions.matrix(transformed(AXES, made.values))
    p, by = regression.slopes(design, fitted.coefficients)
    strengths = tuple(fitted.facts["strengths"].values())
    penalty = regression.total_penalty(list(fitted.functions.penalties().values()), strengths)
    inverse = np.linalg.inv(regression.gram(by, p * (1 - p)) + penalty)
    slopes = np.array([(by[rows] * (p * (1 - p))[rows, None]).mean(axis=0) for rows in bins])
    middle, error = np.array([p[rows].mean() for rows in bins]), np.sqrt(((slopes @ inverse) * slopes).sum(axis=1))
    return middle - 1.96 * error, middle + 1.96 * error


def test_a_few_skies_are_recovered():
    found = [judged(seed, hosts=3000, pixels=200) for seed in range(4)]
    assert np.mean([one.bins for one in found]) > 0.88
    assert np.mean([one.bins for one in found]) > np.mean([one.bins_alone for one in found])
    assert np.mean([one.rows for one in found]) > 0.88
    assert max(one.off for one in found) < 0.03
    assert max(one.cliff for one in found) < 0.04
    assert sum(one.population for one in found) >= 3
    assert max(abs(one.ceiling - known_detection.CEILING) for one in found) < 0.05


@pytest.mark.soak
@pytest.mark.parametrize("pixels", [400, 1000])
def test_intervals_hold_the_truth_on_20_skies(pixels):
    found = [judged(seed, hosts=10_000, pixels=pixels) for seed in range(20)]
    covered = {name: np.mean([getattr(one, name) for one in found]) for name in ("bins", "bins_alone", "rows")}
    assert 0.91 <= covered["bins"] <= 0.98, covered
    assert covered["bins_alone"] < covered["bins"] - 0.01, covered
    assert 0.91 <= covered["rows"] <= 0.98, covered
    assert np.mean([one.off for one in found]) <= 0.02
    assert max(one.cliff for one in found) <= 0.02
    assert sum(one.population for one in found) >= 17


def test_without_a_ceiling_p_would_be_off(monkeypatch):
    """What the ceiling is for: a prior that holds it at 1 is the logistic regression without one."""
    made = known_detection.injections(0, hosts=3000, pixels=200)
    off = {}
    for ceiling, scatter in ((regression.CEILING, regression.CEILING_SCATTER), (20.0, 1e-3)):
        monkeypatch.setattr(regression, "CEILING", ceiling)
        monkeypatch.setattr(regression, "CEILING_SCATTER", scatter)
        found = fit_detection(AXES, made.values, made.detected, made.pixel, rounds=100).detection.predict(made.values)
        off[ceiling] = np.abs(found.p - made.p).mean()
    assert off[regression.CEILING] > off[4.0] + 0.005
