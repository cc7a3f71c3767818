"""Normalisation of pixels for the network; stored with the model, so that scoring needs no options."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("bands", "asinh", "annulus")
CLIP = 10.0
SIGMA_PER_MAD = 1.4826
TINY = 1e-8
"""Minimum spread in nanomaggies, to avoid dividing by zero."""


@dataclass(frozen=True)
class Normalisation:
    """How pixels are scaled to a common range.

    bands
        (x - mean) / std, one mean and std per band over all pixels of the training split.
    asinh
        asinh((x - median) / s): the median per cutout and band, one s per cutout to preserve colours, the mean over
        bands of 1.4826 times the median absolute deviation.
    annulus
        (x - median) / MAD, both per cutout and band over an outer annulus, clipped at +-10.

    Parameters
    ----------
    kind : str
        One of KINDS.
    mean, std : (bands,) floats in nanomaggies
        For `bands` only.
    inner_px, outer_px : float
        Radii of the annulus about pixel (S // 2, S // 2); for `annulus` only.
    """

    kind: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    inner_px: float = 0.0
    outer_px: float = 0.0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(B, bands, S, S) nanomaggies to (B, bands, S, S) dimensionless float32; channels_last is preserved."""
        if self.kind == "bands":
            side = x.shape[-1]
            mean, std = (
                torch.tensor(values, dtype=torch.float32, device=x.device).repeat(side)
                for values in (self.mean, self.std)
            )
            rows = x.permute(0, 2, 3, 1).reshape(x.shape[0], side, -1)  # avoids a slow short inner axis
            return rows.sub(mean).div_(std).view(x.shape[0], side, side, -1).permute(0, 3, 1, 2)
        if self.kind == "asinh":
            middle, deviation = _median_and_mad(x.flatten(2))
            noise = SIGMA_PER_MAD * deviation.mean(dim=1, keepdim=True).clamp_min(TINY)
            return torch.asinh((x - middle[..., None, None]) / noise[..., None, None])
        ring = torch.from_numpy(annulus(x.shape[-1], self.inner_px, self.outer_px)).to(x.device)
        middle, deviation = _median_and_mad(x.flatten(2)[:, :, ring])
        scaled = (x - middle[..., None, None]) / deviation.clamp_min(TINY)[..., None, None]
        return scaled.clamp(-CLIP, CLIP)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without fields that this kind does not use."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items() if v not in ((), 0.0)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Normalisation:
        """The inverse of `as_dict`; InputError if the values are invalid."""
        known = {"kind", "mean", "std", "inner_px", "outer_px"}
        if values.get("kind") not in KINDS or set(values) - known:
            raise InputError(f"{where}: normalisation is not one of {', '.join(KINDS)}", "train the model again")
        known_values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        numbers = [known_values.get("inner_px", 0.0), known_values.get("outer_px", 0.0)]
        for name in ("mean", "std"):
            numbers += known_values.get(name, ())
        if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
            raise InputError(f"{where}: normalisation has values that are no numbers", "train the model again")
        return cls(**known_values)


def _median_and_mad(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Median and median absolute deviation over the last axis (lower median).

    On the CPU by NumPy, in half the time and to the same bits, but for NaN and where a program is recorded.
    """
    if x.device.type == "cpu" and not torch.compiler.is_compiling() and not x.isnan().any():
        import numpy as np

        values = x.numpy()
        lower = (values.shape[-1] - 1) // 2
        middles = np.partition(values, lower, axis=-1)[..., lower]
        deviations = np.partition(np.abs(values - middles[..., None]), lower, axis=-1)[..., lower]
        return torch.from_numpy(middles), torch.from_numpy(deviations)
    middle = x.median(dim=-1).values
    return middle, (x - middle[..., None]).abs().median(dim=-1).values


@functools.lru_cache(maxsize=16)
def annulus(size: int, inner_px: float, outer_px: float) -> NDArray[np.int64]:
    """Flat indices of the pixels with inner <= r < outer about pixel (size//2, size//2)."""
    import numpy as np

    offset = np.arange(size) - size // 2
    r = np.hypot(offset[:, None], offset[None, :])
    return np.flatnonzero((r >= inner_px) & (r < outer_px))


def annulus_radii(crop: int) -> tuple[float, float]:
    """Radii in pixels: 20 and 32 for a crop of 64; else 0.65 and 0.90 of crop // 2 (32.5 and 45 for 101)."""
    return (20.0, 32.0) if crop == 64 else (0.65 * (crop // 2), 0.90 * (crop // 2))


def fit(kind: str, crop: int, cutouts: Iterable[NDArray[np.float32]]) -> Normalisation:
    """The normalisation of a training split.

    Parameters
    ----------
    kind : str
        One of KINDS.
    crop : int
        Side of the network's input, pixels.
    cutouts : blocks of (n, S, S, bands) float32 in nanomaggies
        The training split, in a fixed order; read once, for `bands` only. Only the central crop is used.
    """
    if kind == "asinh":
        return Normalisation("asinh")
    if kind == "annulus":
        inner, outer = annulus_radii(crop)
        return Normalisation("annulus", inner_px=inner, outer_px=outer)
    if kind == "bands":
        mean, std = band_statistics(crop, cutouts)
        return Normalisation("bands", mean=mean, std=std)
    raise InputError(f"no normalisation '{kind}'", f"use {', '.join(KINDS)}")


def band_statistics(crop: int, cutouts: Iterable[NDArray[np.float32]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per band over the centre of all cutouts, in float64, one pass (Chan et al. 1979)."""
    import numpy as np

    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for block in cutouts:
        start = (block.shape[1] - crop) // 2
        pixels = block[:, start : start + crop, start : start + crop].reshape(-1, block.shape[3]).astype(np.float64)
        n, block_mean = len(pixels), pixels.mean(axis=0)
        delta = block_mean - mean
        squares = squares + ((pixels - block_mean) ** 2).sum(axis=0) + delta**2 * count * n / (count + n)
        mean = mean + delta * n / (count + n)
        count += n
    std = np.sqrt(squares / count)
    return tuple(map(float, mean)), tuple(float(max(s, TINY)) for s in std)
