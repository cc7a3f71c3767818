"""What is injected into one galaxy: a lens, a source in its multiply-imaged region, and the magnitude of the arcs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import sersic
from lensctl.astro.lensing import Lens
from lensctl.injection.streams import GEOMETRY, SOURCE, stream

if TYPE_CHECKING:
    from lensctl.injection.design import Design

MODELS = ("mixed", "sersic", "clumpy", "stamps")
_MOST_TRIES = 1000


@dataclass(frozen=True)
class Host:
    """The galaxy: id, its light's axis ratio and angle (None where it has no shape), and its centre.

    `x`, `y` are its offset from the centre of the stamp's middle pixel, arcsec, x to the right, y up.
    """

    id: str
    q: float | None = None
    phi: float = 0.0
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Source:
    """A source before lensing: groups of profiles, each group of unit flux, and their weights.

    `groups` are tuples of profiles; `weights` the share of each group in the detection band; `bluer_mag` by how much
    each is bluer than the first in both colours. `r_half`, `n`, `q`, `phi` describe the first. `stamp` is the row of an
    image among those given, of which the first group is the frame.
    """

    model: str
    groups: tuple[tuple[sersic.Sersic, ...], ...]
    weights: tuple[float, ...]
    bluer_mag: tuple[float, ...]
    colours: tuple[float, float]
    lensed_mag: float
    stamp: int | None = None

    @property
    def main(self) -> sersic.Sersic:
        """The profile that describes it."""
        return self.groups[0][0]


@dataclass(frozen=True)
class Geometry:
    """Lens, position of the source relative to it (arcsec), and number of images of its centre."""

    lens: Lens
    source_x: float
    source_y: float
    n_images: int


def geometry_of(host: Host, design: Design, seed: int, k: int, theta_e: float | None = None) -> Geometry:
    """The lens of one injection, and where the source lies: uniform in area over the multiply-imaged region.

    Parameters
    ----------
    theta_e : float, optional
        Einstein radius in place of the one drawn, arcsec; all else is drawn as without.
    """
    rng = stream(seed, host.id, k, GEOMETRY)
    drawn = float(np.exp(rng.uniform(*np.log(design.theta_e_arcsec))))
    offset, scatter = rng.normal(*design.lens_q_offset), rng.normal(0, design.lens_angle_scatter_rad)
    round_q, any_phi = 1 - rng.rayleigh(design.rex_q_scatter), rng.uniform(0, np.pi)
    q, phi = (round_q, any_phi) if host.q is None else (host.q + offset, host.phi + scatter)
    shear, angle = min(abs(rng.normal(0, design.shear_scatter)), design.shear_most), rng.uniform(0, 2 * np.pi)
    lens = Lens(
        theta_e=drawn if theta_e is None else theta_e,
        q=float(np.clip(q, *design.lens_q_range)),
        phi=float(phi),
        gamma1=float(shear * np.cos(angle)),
        gamma2=float(shear * np.sin(angle)),
        x=host.x,
        y=host.y,
    )
    reach = lens.theta_e * (1 + 2 * shear + 0.3 * (1 - lens.q))
    for _ in range(_MOST_TRIES):
        distance, direction = reach * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        x, y = float(distance * np.cos(direction)), float(distance * np.sin(direction))
        images = lens.image_count(lens.x + x, lens.y + y)
        if images >= 2:
            return Geometry(lens, x, y, images)
    raise RuntimeError(f"no multiply-imaged position in {_MOST_TRIES} tries for {lens}")


def source_of(host: Host, design: Design, seed: int, k: int, model: str, stamps: int = 0) -> Source:
    """The source of one injection, at the origin.

    Parameters
    ----------
    model : str
        One of MODELS.
    stamps : int
        Number of images to choose from, for `stamps`.
    """
    rng = stream(seed, host.id, k, SOURCE)
    r_half = float(np.exp(rng.uniform(*np.log(design.source_r_half_arcsec))))
    n = float(rng.uniform(*design.source_n))
    q = float(max(1 - rng.rayleigh(design.source_q_scatter), design.source_q_least))
    phi = float(rng.uniform(0, np.pi))
    lensed_mag = float(rng.uniform(*design.lensed_mag))
    first, second = rng.standard_normal(2)
    rho = design.colour_correlation
    colour_1 = design.colour_1[0] + design.colour_1[1] * first
    colour_2 = design.colour_2[0] + design.colour_2[1] * (rho * first + np.sqrt(1 - rho**2) * second)
    colours = float(np.clip(colour_1, *design.colour_1_range)), float(np.clip(colour_2, *design.colour_2_range))
    clumpy = bool(rng.random() < design.clumpy_share)
    chosen = {"mixed": "clumpy" if clumpy else "sersic"}.get(model, model)
    stamp = int(rng.integers(stamps)) if stamps else None
    if chosen != "clumpy":
        profile = sersic.Sersic(0, 0, 1.0, r_half, n, q, phi)
        return Source(chosen, ((profile,),), (1.0,), (0.0,), colours, lensed_mag, stamp)
    disc = sersic.Sersic(0, 0, 1.0, r_half, 1.0, q, phi)
    share, number = float(rng.uniform(*design.disc_share)), int(rng.integers(design.clumps[0], design.clumps[1] + 1))
    light = rng.gamma(2.0, 1.0, number) + 0.1
    clumps = []
    for part in light / light.sum():
        away, direction = 1.2 * r_half * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        along, across = away * np.cos(direction), q * away * np.sin(direction)
        x, y = along * np.cos(phi) - across * np.sin(phi), along * np.sin(phi) + across * np.cos(phi)
        size = float(rng.uniform(*design.clump_r_half_arcsec))
        clumps.append(sersic.Sersic(float(x), float(y), float(part), size, 0.5))
    bluer = (0.0, design.clump_bluer_mag)
    return Source("clumpy", ((disc,), tuple(clumps)), (share, 1 - share), bluer, colours, lensed_mag)
