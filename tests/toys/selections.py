"""A selection function that is known exactly, a design that asks it, and a population of other lenses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lensctl.selection.averages import Population
from lensctl.selection.predicting import Injections, Selection

AXES = ("theta_e", "arc_mag_r", "magnification", "psfsize_r", "mag_z")
PER_HOST = 5


@dataclass(frozen=True)
class Known:
    """p, an interval about it, and what lies inside."""

    p: np.ndarray
    low: np.ndarray
    high: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True)
class Mean:
    """A mean and its interval."""

    value: float
    low: float
    high: float


class Exact:
    """p_det rises with radius, flux and magnification, and falls with seeing; at most 0.9; or higher by a shift."""

    def __init__(self, half_width: float = 0.01, shift: float = 0.0) -> None:
        self.half_width, self.shift = half_width, shift

    def mean(self, values, weight=None) -> Mean:
        p = np.average(self.predict(values).p, weights=weight)
        return Mean(float(p), float(p) - self.half_width, float(p) + self.half_width)

    def share_errors(self, values, weight, place) -> np.ndarray:
        return np.full(int(place.max()) + 1, self.half_width)

    def predict(self, values):
        p = np.minimum(p_of(values) + self.shift, 1)
        inside = (values["theta_e"] >= 0.5) & (values["theta_e"] <= 3.5)
        inside &= (values["arc_mag_r"] >= 18.5) & (values["arc_mag_r"] <= 24.0)
        return Known(p, np.maximum(p - self.half_width, 0), np.minimum(p + self.half_width, 1), inside)


def p_of(values) -> np.ndarray:
    logit = 1.5 + 3 * np.log(values["theta_e"]) - 1.2 * (values["arc_mag_r"] - 22)
    logit += 0.8 * np.log(values["magnification"] / 4) - 4 * (values["psfsize_r"] - 1.3)
    return 0.9 / (1 + np.exp(-logit))


def design(rng: np.random.Generator, hosts: int) -> dict[str, np.ndarray]:
    """Values of PER_HOST injections of each host: a box in radius and magnitude."""
    n = hosts * PER_HOST
    return {
        "theta_e": np.exp(rng.uniform(np.log(0.5), np.log(3.5), n)),
        "arc_mag_r": rng.uniform(18.5, 24.0, n),
        "magnification": 1.9 + 2 * rng.pareto(2.5, n),
        "psfsize_r": np.repeat(np.exp(rng.normal(0.26, 0.12, hosts)), PER_HOST),
        "mag_z": np.repeat(rng.normal(19, 0.6, hosts), PER_HOST),
    }


def injections(seed: int, hosts: int = 1200) -> Injections:
    """Detections by the known p."""
    rng = np.random.default_rng(seed)
    values = design(rng, hosts)
    host = np.repeat(np.arange(hosts), PER_HOST)
    return Injections(values, rng.random(len(host)) < p_of(values), host, host // (4 * PER_HOST))


def population(seed: int, n: int, faint: float = 0.0) -> Population:
    """Small radii, faint arcs and bright hosts of large radii: unlike the design; a share is fainter than it."""
    rng = np.random.default_rng(seed)
    theta_e = 0.5 + rng.gamma(2, 0.3, n)
    theta_e = np.where(theta_e > 3.5, 1.0, theta_e)
    values = {
        "theta_e": theta_e,
        "arc_mag_r": 24 - np.minimum(rng.exponential(1.45, n), 5.4),
        "magnification": 1.9 + 2 * rng.pareto(2.5, n),
        "psfsize_r": np.exp(rng.normal(0.26, 0.12, n)),
        "mag_z": 19 - 0.5 * np.log(theta_e) + rng.normal(0, 0.5, n),
    }
    dim = rng.random(n) < faint
    values["arc_mag_r"] = np.where(dim, 25.0, values["arc_mag_r"])
    return Population(values, values["magnification"] ** 0.75, dim, rng.integers(0, 300, n))


def selection(seed: int = 0, hosts: int = 1200, systematic=None, shift: float = 0.0) -> Selection:
    return Selection("fpr=0.01", AXES, Exact(shift=shift), injections(seed, hosts), systematic)
