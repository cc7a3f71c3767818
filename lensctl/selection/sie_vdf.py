"""The population `sie-vdf`: isothermal lenses by their velocity-dispersion function, in front of counted galaxies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.cosmology import Cosmology
from lensctl.astro.source_counts import SourceCounts
from lensctl.astro.velocity_dispersion import DispersionFunction, dispersion_km_s, einstein_radius_arcsec
from lensctl.injection.streams import uniforms
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.injection.design import Design

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

CANDIDATES = 16
"""Lenses drawn for each row, of which one is taken, more likely the more of its kind there are."""

WIDTH = 4 * CANDIDATES + 4
PURPOSE = "population"


@dataclass(frozen=True)
class Assumptions:
    """Numbers of the population, each an option: verify them before they go into a paper.

    Parameters
    ----------
    h0_km_s_mpc, omega_m : float
        Flat universe.
    phi_star_mpc3, sigma_star_km_s, alpha, beta : float
        Velocity-dispersion function of early types (`DispersionFunction`).
    count_slope, source_mag_bright, source_mag_faint, z0_slope, z0_offset, z_source_most : float
        Counts and redshifts of the galaxies behind (`SourceCounts`), magnitudes in the detection band.
    sigma_least_km_s : float
        Rank of a lens galaxy: its place among galaxies above this velocity dispersion, as a host's is among hosts.
    like_hosts : int
        Hosts next in redshift among which the one of the same rank in luminosity lends its magnitude and size; a tenth
        of all hosts at most.
    """

    h0_km_s_mpc: float = 70.0
    omega_m: float = 0.3
    phi_star_mpc3: float = 2.74e-3
    sigma_star_km_s: float = 161.0
    alpha: float = 2.32
    beta: float = 2.67
    count_slope: float = 0.3
    source_mag_bright: float = 20.0
    source_mag_faint: float = 28.0
    z0_slope: float = 0.0417
    z0_offset: float = 0.744
    z_source_most: float = 5.0
    sigma_least_km_s: float = 160.0
    like_hosts: int = 50

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if name not in ("count_slope", "z0_offset") and not value > 0:
                raise InputError(f"{name} is {value:g}", "it is above 0")
        if not self.omega_m < 1:
            raise InputError(f"omega_m is {self.omega_m:g}", "in a flat universe it lies between 0 and 1")
        if not self.source_mag_bright < self.source_mag_faint:
            raise InputError("source_mag_bright is not brighter than source_mag_faint", "give the smaller magnitude")
        if not self.counts.z0(self.source_mag_bright) > 0:
            raise InputError(
                f"z0 is not above 0 at magnitude {self.source_mag_bright:g}", "raise z0_slope, or lower z0_offset"
            )

    @property
    def cosmology(self) -> Cosmology:
        """The universe."""
        return Cosmology(self.h0_km_s_mpc, self.omega_m)

    @property
    def dispersions(self) -> DispersionFunction:
        """The galaxies in front."""
        return DispersionFunction(self.phi_star_mpc3, self.sigma_star_km_s, self.alpha, self.beta)

    @property
    def counts(self) -> SourceCounts:
        """The galaxies behind."""
        return SourceCounts(
            self.count_slope,
            self.source_mag_bright,
            self.source_mag_faint,
            self.z0_slope,
            self.z0_offset,
            self.z_source_most,
        )


def assumptions_of(texts: Sequence[str]) -> Assumptions:
    """Assumptions of options such as `sigma_star_km_s=165`; InputError for an unknown name or no number."""
    known = {field.name: field.type for field in dataclasses.fields(Assumptions)}
    given: dict[str, float | int] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known:
            raise InputError(f"--set {text}: no number '{name}'{nearest(name, known)}", f"use {', '.join(known)}")
        try:
            given[name] = int(value) if known[name] == "int" else float(value)
        except ValueError as error:
            raise InputError(f"--set {text}: '{value}' is not a number", f"such as --set {name}=1") from error
        if not np.isfinite(given[name]):
            raise InputError(f"--set {text}: '{value}' is not finite", f"such as --set {name}=1")
    return Assumptions(**given)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Hosts:
    """What hosts lend to lens galaxies, in the order of their table.

    Parameters
    ----------
    z : (H,) float64
        Redshift, above 0.
    mag : (H,) float64
        Observed magnitude in the depth band, without extinction.
    """

    z: Floats
    mag: Floats


@dataclass(frozen=True)
class Lenses:
    """Lenses of a population, each (N,).

    `weight` is the number of lenses per steradian that a row stands for, times the number of rows, if there were one
    galaxy behind per square arcsec between the limits of magnitude; the area of the multiply-imaged region is counted
    as pi theta_e^2. `left_out` is the part of lenses, in the same unit, whose Einstein radius lies beyond the range.
    `host` is the row of the host that lends its galaxy, `sky` of the one that lends seeing, depth and dust.
    """

    z_lens: Floats
    z_source: Floats
    sigma_km_s: Floats
    theta_e: Floats
    source_mag: Floats
    weight: Floats
    left_out: Floats
    host: Ints
    sky: Ints


def lenses_of(start: int, stop: int, seed: int, hosts: Hosts, design: Design, given: Assumptions) -> Lenses:
    """Rows of a population; those of a longer table begin with those of a shorter.

    Of CANDIDATES lenses a row takes one, with probability in proportion to how many of its kind there are, and has the
    mean of all candidates as its weight: importance resampling (Rubin 1987), which is unbiased at any number. The
    source's magnitude is uniform, and its counts part of the weight: otherwise few rows were bright enough to be found.

    Raises
    ------
    InputError
        At a redshift of the hosts no galaxy makes an Einstein radius of the design.
    """
    draw = uniforms(seed, PURPOSE, start, stop, WIDTH)
    u_lens, u_mag, u_source, u_sigma = draw[:, 4:].reshape(-1, 4, CANDIDATES).swapaxes(0, 1)
    cosmology, dispersions, counts = given.cosmology, given.dispersions, given.counts
    z_low, z_high = float(hosts.z.min()), float(hosts.z.max())
    z_lens = cosmology.redshift_of_share(u_lens, z_low, z_high)
    mag = counts.bright_mag + u_mag * (counts.faint_mag - counts.bright_mag)
    behind = counts.share_behind(z_lens, mag)
    z_source = np.minimum(counts.redshift_of_share(u_source * behind, mag), counts.z_most)
    ratio = cosmology.distance_ratio(z_lens, z_source)
    low, high = (dispersions.share_above(dispersion_km_s(end, ratio), 4) for end in design.theta_e_arcsec)
    common = behind * einstein_radius_arcsec(given.sigma_star_km_s, ratio) ** 2 * dispersions.moment(4) * np.pi
    volume = cosmology.volume_mpc3_sr(z_high) - cosmology.volume_mpc3_sr(z_low) if z_high > z_low else 1.0
    amount = common * (low - high) * volume
    if not (amount.sum(axis=1) > 0).all():
        raise InputError(
            f"no galaxy at redshifts {z_low:.3g} to {z_high:.3g} has an Einstein radius of "
            f"{design.theta_e_arcsec[0]:g} to {design.theta_e_arcsec[1]:g} arcsec",
            "check z_host, and theta_e_arcsec of the design",
        )
    upto = np.cumsum(amount, axis=1)
    chosen = (np.argmax(upto > draw[:, :1] * upto[:, -1:], axis=1)[:, None],)

    def taken(values: Floats) -> Floats:
        return np.take_along_axis(values, chosen[0], axis=1)[:, 0]

    share = taken(high) + taken(u_sigma) * (taken(low) - taken(high))
    sigma = dispersions.dispersion_of_share(share, 4)
    span = counts.faint_mag - counts.bright_mag
    of_mag = counts.density(mag) * span
    rank = 1 - dispersions.share_above(sigma) / dispersions.share_above(given.sigma_least_km_s)
    next_to = max(min(given.like_hosts, len(hosts.z) // 10), 1)
    host = like(taken(z_lens), rank, hosts, cosmology, next_to)
    return Lenses(
        z_lens=taken(z_lens),
        z_source=taken(z_source),
        sigma_km_s=sigma,
        theta_e=einstein_radius_arcsec(sigma, taken(ratio)),
        source_mag=taken(mag),
        weight=amount.mean(axis=1) * taken(of_mag),
        left_out=(common * volume * (1 - low + high) * of_mag).mean(axis=1),
        host=host,
        sky=np.minimum((draw[:, 1] * len(hosts.z)).astype(np.int64), len(hosts.z) - 1),
    )


def like(z: Floats, rank: Floats, hosts: Hosts, cosmology: Cosmology, number: int) -> Ints:
    """The host that lends its galaxy: of some next in redshift, the one at a rank in luminosity, 0 faintest: (N,)."""
    order = np.argsort(hosts.z, kind="stable")
    number = min(number, len(order))
    brightness = (cosmology.distance_modulus(hosts.z) - hosts.mag)[order]
    windows = np.lib.stride_tricks.sliding_window_view(brightness, number)
    ranked = np.argsort(windows, axis=1, kind="stable")
    first = np.clip(np.searchsorted(hosts.z[order], z) - number // 2, 0, len(order) - number)
    place = np.clip((np.clip(rank, 0, 1) * number).astype(np.int64), 0, number - 1)
    return np.asarray(order[first + ranked[first, place]])


def named(given: Assumptions) -> Mapping[str, float | int]:
    """All numbers by name."""
    return dataclasses.asdict(given)
