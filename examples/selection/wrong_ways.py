"""What wrong ways to correct for selection cost, on a mock population whose truth is known.

python examples/selection/wrong_ways.py

Lenses: singular isothermal spheres with theta_e - 0.5 arcsec from a gamma distribution of shape 2 and scale 0.30
arcsec, point sources of counts 10^(0.3 m) between 20 and 28 mag, positions uniform in area (magnification 2/x, x^2
uniform), seeing log-normal about 1.30 arcsec. p_det is a logistic function of log theta_e, lensed magnitude, log
magnification and seeing, at most 0.9. Injections: theta_e log-uniform from 0.5 to 3.5, lensed magnitude uniform from
18.5 to 24.
"""

from __future__ import annotations

import sys

import numpy as np

SCALE, FAINT_MAG, SURVEYS, FOUND = 0.30, 24.0, 1000, 300
SOURCE_MAGS = (23.0, 24.0, 25.0, 26.0)


def p_det(theta_e, lensed_mag, magnification, psfsize):
    """The truth: probability of detection."""
    logit = 1.5 + 3 * np.log(theta_e) - 1.6 * (lensed_mag - 22) + 0.8 * np.log(magnification / 4)
    return 0.9 / (1 + np.exp(-(logit - 4 * (psfsize - 1.3))))


def magnified(rng, n):
    """Magnification of sources that lie uniformly in the multiply-imaged disc."""
    return 2 / np.sqrt(rng.random(n))


def lenses(rng, n):
    """Lenses as nature has them, magnitudes by their counts. Returns theta_e, source_mag, lensed_mag and p_det."""
    theta_e = 0.5 + rng.gamma(2, SCALE, n)
    rate = 0.3 * np.log(10)
    source_mag = 28 + np.log(1 - rng.random(n) * (1 - np.exp(-8 * rate))) / rate
    mu, psfsize = magnified(rng, n), np.exp(rng.normal(np.log(1.3), 0.12, n))
    lensed_mag = source_mag - 2.5 * np.log10(mu)
    return theta_e, source_mag, lensed_mag, p_det(theta_e, lensed_mag, mu, psfsize)


def injections(rng, n):
    """Injections by the design. Returns source_mag and whether each was detected."""
    theta_e, lensed_mag = np.exp(rng.uniform(np.log(0.5), np.log(3.5), n)), rng.uniform(18.5, FAINT_MAG, n)
    mu, psfsize = magnified(rng, n), np.exp(rng.normal(np.log(1.3), 0.12, n))
    return lensed_mag + 2.5 * np.log10(mu), rng.random(n) < p_det(theta_e, lensed_mag, mu, psfsize)


def box_mean(rng):
    """Share of injections that are found, and share of lenses no fainter than the injections that are."""
    _, _, lensed_mag, p = lenses(rng, 4_000_000)
    return injections(rng, 400_000)[1].mean(), p[lensed_mag <= FAINT_MAG].mean(), p.mean()


def by_source_magnitude(rng):
    """p at some source magnitudes: as a fit to the injections has it, and the truth."""
    asked, detected = injections(rng, 4_000_000)
    _, source_mag, _, p = lenses(rng, 4_000_000)
    for mag in SOURCE_MAGS:
        yield mag, detected[np.abs(asked - mag) < 0.05].mean(), p[np.abs(source_mag - mag) < 0.05].mean()


def scales(rng):
    """Scale of theta_e from each of SURVEYS surveys of FOUND lenses by three ways, (SURVEYS, 3); effective numbers.

    The found lenses as they are; weighted by 1/p_det; and by the likelihood with p_det under the integral, of which the
    maximum is where the mean theta_e of found lenses is the observed one. Lenses no fainter than the injections.
    """
    theta_e, _, lensed_mag, p = lenses(rng, 4_000_000)
    asked = lensed_mag <= FAINT_MAG
    theta_e, p = theta_e[asked], p[asked]
    found = rng.random(len(p)) < p
    grid = np.linspace(0.5, 5.5, 201)
    edges = np.append(grid - 0.0125, grid[-1] + 0.0125)
    counts = np.histogram(theta_e, edges)[0]
    mean_p = np.histogram(theta_e, edges, weights=p)[0] / np.maximum(counts, 1)
    mean_p[counts < 100] = mean_p[counts >= 100][-1]
    tried = np.linspace(0.15, 0.6, 451)
    law = (grid - 0.5) * np.exp(-(grid - 0.5) / tried[:, None]) * mean_p
    expected = (law * grid).sum(axis=1) / law.sum(axis=1)  # mean theta_e of found lenses at each scale
    rows = np.flatnonzero(found)
    mine = rng.choice(rows, (SURVEYS, FOUND))
    weight = 1 / p[mine]
    as_found = theta_e[mine].mean(axis=1)
    weighted = (weight * theta_e[mine]).sum(axis=1) / weight.sum(axis=1)
    effective = weight.sum(axis=1) ** 2 / (weight**2).sum(axis=1)
    made = np.stack([(as_found - 0.5) / 2, (weighted - 0.5) / 2, np.interp(as_found, expected, tried)], axis=1)
    return made, effective


def lines():
    """What the page quotes, a line each."""
    box, within, everything = box_mean(np.random.default_rng(1))
    bright = f"{within:.3f} of lenses no fainter than the injections"
    yield f"box mean {box:.3f}; completeness {bright}, {everything:.4f} of all"
    for mag, fitted, truth in by_source_magnitude(np.random.default_rng(2)):
        yield f"source mag {mag:.0f}: fit to the injections {fitted:.3f}, truth {truth:.4f}, ratio {fitted / truth:.1f}"
    made, effective = scales(np.random.default_rng(3))
    names = ("found lenses as they are", "weights 1/p_det", "p_det under the integral")
    for name, values in zip(names, made.T, strict=True):
        low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
        error = np.sqrt(((values - SCALE) ** 2).mean())
        yield f"{name}: scale {middle:.3f} ({low:.3f} to {high:.3f}), rms error {error:.3f}"
    low, middle = np.quantile(effective, [0.025, 0.5])
    yield f"{FOUND} lenses weighted by 1/p_det count as {middle:.0f} (2.5 % of surveys: below {low:.0f})"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
