"""Injections whose probability of detection is known: a ceiling, a cliff in the PSF, an interaction, clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

HOST_SCATTER, PIXEL_SCATTER = 0.5, 0.3
"""Standard deviations, in logit, of what is peculiar to a host and to a HEALPix pixel."""

CEILING, CLIFF_ARCSEC = 0.9, 1.42


@dataclass(frozen=True)
class Injections:
    """Axes by name, what was detected, the true p_det, and the host and pixel of each row."""

    values: dict[str, np.ndarray]
    detected: np.ndarray
    p: np.ndarray
    host: np.ndarray
    pixel: np.ndarray

    def rows(self, chosen):
        """The axes of some rows."""
        return {name: column[chosen] for name, column in self.values.items()}

    @property
    def at_cliff(self):
        """Rows whose PSF is within 4 % of the cliff."""
        return np.abs(self.values["psfsize_r"] / CLIFF_ARCSEC - 1) < 0.04


def injections(seed, hosts=10_000, per_host=5, pixels=1000, ceiling=CEILING):
    """Five injections in each host; seeing and depth are alike within a pixel."""
    random = np.random.default_rng(seed)
    pixel = random.integers(0, pixels, hosts)
    seeing, depth = random.normal(size=pixels)[pixel], random.normal(size=pixels)[pixel]
    of_host = {
        "psfsize_r": 1.3 * np.exp(0.12 * (0.9 * seeing + 0.43 * random.normal(size=hosts))),
        "psfdepth_r": 900 * np.exp(0.3 * depth + 0.05 * random.normal(size=hosts)),
        "mag_z": np.clip(20.4 - 1.2 * np.abs(random.normal(size=hosts)), 17, 20.4),
        "shape_r": 1.2 * np.exp(0.4 * random.normal(size=hosts)),
        "lens_q": np.clip(random.normal(0.75, 0.12, hosts), 0.4, 0.98),
    }
    host = np.repeat(np.arange(hosts), per_host)
    n = len(host)
    colour = np.clip(random.normal(0.25, 0.3, n), -0.5, 1.5) - random.normal(1.3, 0.15, hosts)[host]
    values = {
        "theta_e": np.exp(random.uniform(np.log(0.5), np.log(3.5), n)),
        "arc_mag_r": random.uniform(18.6, 24.1, n),
        "magnification": 2 / np.sqrt(1 - 0.995 * random.uniform(0, 1, n)),
        **{name: column[host] for name, column in of_host.items()},
        "source_r_half": np.exp(random.uniform(np.log(0.02), np.log(1.2), n)),
        "delta_g_minus_r": colour,
        "source_n": random.uniform(0.5, 3, n),
    }
    eta = logit(values)
    scatter = np.hypot(HOST_SCATTER, PIXEL_SCATTER)
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    p = ceiling * (expit(eta[:, None] + scatter * nodes) @ (weights / weights.sum()))
    own = HOST_SCATTER * random.normal(size=hosts)[host] + PIXEL_SCATTER * random.normal(size=pixels)[pixel[host]]
    detected = random.uniform(size=n) < ceiling * expit(eta + own)
    return Injections(values, detected, p, host, pixel[host])


def logit(v):
    """Of a host and a pixel like the mean, below the ceiling."""
    radius, seeing, mag = np.log(v["theta_e"] / 1.3), np.log(v["psfsize_r"] / 1.3), v["arc_mag_r"] - 21.5
    lens_and_arc = 2.2 * np.tanh(1.2 * radius) - 1.1 * mag - 0.12 * mag**2 * (mag > 0) + 0.6 * radius * mag
    sky = -4 * seeing + 3 * radius * seeing - 3 * expit((v["psfsize_r"] - CLIFF_ARCSEC) / 0.01)
    source = 0.8 * np.log(v["magnification"] / 3) - 0.4 * np.log(v["source_r_half"] / 0.2) - 0.15 * v["source_n"]
    host = 0.4 * (v["mag_z"] - 19.5) - 0.5 * np.log(v["shape_r"] / 1.2) - 0.7 * (v["delta_g_minus_r"] + 1)
    return lens_and_arc + sky + source + host
