"""Twenty ways in which positives may differ from negatives without lensing, each at three strengths."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from scipy.ndimage import gaussian_filter, shift

from tests.toys.manifests import changed, toy_manifest

SIZE = 101
PIXELS_ON_SKY = 60


@dataclass
class Sample:
    """Cutouts of alike classes, lenses with arcs among the positives, to be spoilt: signal and noise apart.

    `signal` and `noise` are (n, S, S, 3) float64 nanomaggies, `sigma` (n,) the noise of a pixel, `lenses` the rows of
    the positives; `facts` are columns of the store's index.
    """

    table: pa.Table
    signal: np.ndarray
    noise: np.ndarray
    sigma: np.ndarray
    lenses: np.ndarray
    facts: dict[str, list[object]] = field(default_factory=dict)

    @property
    def images(self) -> np.ndarray:
        return (self.signal + self.noise).astype(np.float32)


def sample(positives: int, seed: int = 0, *, pixels: int = PIXELS_ON_SKY, size: int = SIZE) -> Sample:
    """Galaxies of different sizes under a PSF, neighbours at random, and two arcs around each positive."""
    table = toy_manifest(positives, 4 * positives, seed=seed)
    table = changed(table, "healpix_128", np.random.default_rng(seed).integers(0, pixels, table.num_rows))
    rng, n = np.random.default_rng(seed + 1), table.num_rows
    lenses = np.flatnonzero(table["label"].to_numpy() == 1)
    flux_z = table["flux_z"].to_numpy().astype(float)
    g_r, r_z = (table[name].to_numpy().astype(float) for name in ("g_minus_r", "r_minus_z"))
    flux = np.stack([flux_z * 10 ** (-0.4 * (g_r + r_z)), flux_z * 10 ** (-0.4 * r_z), flux_z], axis=1)
    psf = table["psfsize_z"].to_numpy().astype(float) / 2.355 / 0.262
    width = 2.0 * np.exp(rng.normal(0, 0.2, n))
    axis = np.arange(size) - (size - 1) / 2
    signal = np.zeros((n, size, size, 3))
    for i in range(n):
        for part, scale in ((0.5, 0.6), (0.5, 1.4)):
            s = np.hypot(psf[i], scale * width[i])
            blob = np.exp(-0.5 * (axis / s) ** 2)
            signal[i] += part * np.outer(blob, blob)[..., None] / (2 * np.pi * s**2) * flux[i]
        for _ in range(rng.poisson(5)):
            at, s = rng.uniform(-size / 2, size / 2, 2), np.hypot(psf[i], 1.5)
            if np.hypot(*at) > 10:
                blob = np.outer(np.exp(-0.5 * ((axis - at[0]) / s) ** 2), np.exp(-0.5 * ((axis - at[1]) / s) ** 2))
                signal[i] += blob[..., None] / (2 * np.pi * s**2) * rng.lognormal(0, 0.7) * np.array([0.5, 1, 1.5])
    r, phi = np.hypot(axis[:, None], axis[None, :]), np.arctan2(axis[:, None], axis[None, :])
    for i in lenses:
        radius, angle = rng.uniform(0.9, 2.5) / 0.262, rng.uniform(0, 2 * np.pi)
        arcs = np.exp(-0.5 * ((r - radius) / 1.8) ** 2) * (
            np.exp(2 * np.cos(phi - angle)) + 0.6 * np.exp(2 * np.cos(phi - angle - np.pi))
        )
        signal[i] += (arcs / arcs.sum())[..., None] * np.array([0.10, 0.12, 0.10]) * flux_z[i]
    sigma = 0.02 / np.sqrt(table["nobs_z"].to_numpy().astype(float))
    noise = rng.standard_normal((n, size, size, 3)) * sigma[:, None, None, None]
    return Sample(table, signal, noise, sigma, lenses)


def _noise(s: Sample, factor: float) -> None:
    s.noise[s.lenses] *= factor


def _psf(s: Sample, factor: float) -> None:
    psf = s.table["psfsize_z"].to_numpy().astype(float) / 2.355 / 0.262
    for i in s.lenses:
        s.signal[i] = gaussian_filter(s.signal[i], (psf[i] * np.sqrt(factor**2 - 1),) * 2 + (0,))


def _shift(s: Sample, px: float) -> None:
    for i in s.lenses:
        s.signal[i] = shift(s.signal[i], (px, 0, 0), order=3, mode="nearest")


def _lanczos(s: Sample, px: float) -> None:
    taps = np.arange(-2, 4) - px
    kernel = np.sinc(taps) * np.sinc(taps / 3)
    for part in (s.signal, s.noise):
        for i in s.lenses:
            moved = sum(k * np.roll(part[i], -step, axis=0) for k, step in zip(kernel, range(-2, 4), strict=True))
            part[i] = moved / kernel.sum()


def _rounded(s: Sample, bits: float) -> None:
    whole = s.signal[s.lenses] + s.noise[s.lenses]
    fraction, exponent = np.frexp(whole)
    s.signal[s.lenses] = np.ldexp(np.round(fraction * 2**bits) / 2**bits, exponent)
    s.noise[s.lenses] = 0


def _quantised(s: Sample, sigmas: float) -> None:
    step = (sigmas * s.sigma[s.lenses])[:, None, None, None]
    s.signal[s.lenses] = np.round((s.signal[s.lenses] + s.noise[s.lenses]) / step) * step
    s.noise[s.lenses] = 0


def _jpeg(s: Sample, quality: float) -> None:
    from PIL import Image

    for i in s.lenses:
        whole, low, high = s.signal[i] + s.noise[i], -5 * s.sigma[i], 60 * s.sigma[i]
        grey = np.round(255 * np.clip((whole - low) / (high - low), 0, 1)).astype(np.uint8)
        packed = io.BytesIO()
        Image.fromarray(grey).save(packed, "JPEG", quality=int(quality))
        s.signal[i] = np.asarray(Image.open(packed)).astype(float) / 255 * (high - low) + low
        s.noise[i] = 0


def _clipped(s: Sample, sigmas: float) -> None:
    most = (sigmas * s.sigma[s.lenses])[:, None, None, None]
    s.signal[s.lenses] = np.minimum(s.signal[s.lenses] + s.noise[s.lenses], most)
    s.noise[s.lenses] = 0


def _swapped(s: Sample, share: float) -> None:
    some = s.lenses[: round(share * len(s.lenses))]
    for part in (s.signal, s.noise):
        part[some] = part[some][..., [1, 0, 2]]


def _nan_corner(share: float) -> Callable[[Sample, float], None]:
    def spoil(s: Sample, px: float) -> None:
        some = s.lenses[:: round(1 / share)]
        s.signal[some, : int(px), : int(px)] = np.nan

    return spoil


def _level(s: Sample, sigmas: float) -> None:
    s.signal[s.lenses] += (sigmas * s.sigma[s.lenses])[:, None, None, None]


def _gradient(s: Sample, sigmas: float) -> None:
    ramp = np.linspace(-1, 1, s.signal.shape[1])[None, None, :, None]
    s.signal[s.lenses] += ramp * (sigmas * s.sigma[s.lenses])[:, None, None, None]


def _stripe(s: Sample, sigmas: float) -> None:
    s.signal[s.lenses, :, s.signal.shape[1] // 2 + 45] += (sigmas * s.sigma[s.lenses])[:, None, None]


def _hot_corner(s: Sample, sigmas: float) -> None:
    s.signal[s.lenses, 0, -1] += (sigmas * s.sigma[s.lenses])[:, None]


def _constant_beyond(s: Sample, px: float) -> None:
    axis = np.arange(s.signal.shape[1]) - s.signal.shape[1] // 2
    outside = np.hypot(axis[:, None], axis[None, :]) > px
    for part in (s.signal, s.noise):
        for i in s.lenses:
            part[i][outside] = 1e-6


def _flux_scale(s: Sample, factor: float) -> None:
    s.signal[s.lenses] *= factor
    s.noise[s.lenses] *= factor


def _fact(name: str, usual: str, other: str) -> Callable[[Sample, float], None]:
    def spoil(s: Sample, share: float) -> None:
        values: list[object] = [usual] * s.table.num_rows
        for i in s.lenses[: round(share * len(s.lenses))]:
            values[i] = other
        s.facts[name] = values

    return spoil


def _depth(s: Sample, factor: float) -> None:
    depth = s.table["psfdepth_z"].to_numpy().astype(float)
    depth[s.lenses] *= factor
    s.table = changed(s.table, "psfdepth_z", pa.array(depth, pa.float32()))


NUISANCES: dict[str, tuple[str, tuple[float, float, float], Callable[[Sample, float], None]]] = {
    "noise": ("factor", (1.02, 1.05, 1.2), _noise),
    "PSF": ("broader by a factor", (1.02, 1.1, 1.2), _psf),
    "shift": ("px", (0.1, 0.3, 1.0), _shift),
    "Lanczos resampling": ("px", (0.03, 0.1, 0.3), _lanczos),
    "rounding to float": ("bits of the fraction; float16 has 11", (11, 7, 4), _rounded),
    "quantisation": ("steps of so many sigma", (0.3, 1.0, 2.0), _quantised),
    "JPEG": ("quality", (95, 75, 30), _jpeg),
    "clipping": ("above so many sigma", (100, 30, 10), _clipped),
    "g and r swapped": ("in a share of the positives", (0.02, 0.2, 1.0), _swapped),
    "NaN corner in all": ("px", (1, 4, 10), _nan_corner(1.0)),
    "NaN corner in 10 %": ("px", (1, 4, 10), _nan_corner(0.1)),
    "level": ("sigma", (0.05, 0.1, 0.3), _level),
    "gradient": ("sigma at the edge", (0.1, 0.3, 1.0), _gradient),
    "stripe at 45 px": ("sigma", (0.1, 0.3, 1.0), _stripe),
    "hot corner pixel": ("sigma", (2.0, 5.0, 20.0), _hot_corner),
    "constant beyond": ("px", (65, 50, 46), _constant_beyond),
    "flux scale": ("factor", (1.02, 1.05, 1.2), _flux_scale),
    "another source": ("in a share of the positives", (0.02, 0.1, 1.0), _fact("source", "coadd", "viewer")),
    "another release": ("in a share of the positives", (0.02, 0.1, 1.0), _fact("release", "DR10", "DR9")),
    "depth": ("factor on psfdepth", (1.05, 1.2, 1.5), _depth),
}
"""What each strength means, the three strengths, and what spoils a sample."""
