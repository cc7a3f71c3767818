"""Images of real galaxies as sources: read, checked, and traced through a lens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.ray_tracing import FINE_RAY_ARCSEC, RayTracer
from lensctl.io.cutouts import npz
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.injection.drawing import Source

MOST_AT_EDGE = 0.005
"""Brightest pixel of a stamp's edge over its peak; above it the source would end in a step."""


@dataclass(frozen=True)
class Stamps:
    """Images of galaxies: (K, s, s) float32 of unit flux, s odd, and their half-light radii, (K,) px.

    A source takes the shape of one; its size, angle and flux are those drawn.
    """

    images: NDArray[np.float32]
    r_half_px: NDArray[np.float64]

    @classmethod
    def of(cls, images: NDArray[np.floating], where: str) -> Stamps:
        """Stamps of some images, checked.

        Raises
        ------
        InputError
            Not (K, s, s) with odd s, NaN, no light, or light at the edge.
        """
        images = np.asarray(images, np.float32)
        if images.ndim != 3 or images.shape[1] != images.shape[2] or images.shape[1] % 2 == 0 or not len(images):
            shape = " x ".join(map(str, images.shape))
            raise InputError(f"{where}: stamps are {shape}", "give K x s x s images, s odd, each centred on its galaxy")
        if not np.isfinite(images).all():
            raise InputError(f"{where}: a stamp has NaN", "leave it out, or fill it")
        peak = images.max(axis=(1, 2))
        edge = np.maximum(abs(images[:, [0, -1]]).max(axis=(1, 2)), abs(images[:, :, [0, -1]]).max(axis=(1, 2)))
        total = images.sum(axis=(1, 2))
        for bad, what, fix in (
            (~((peak > 0) & (total > 0)), "has no light", "leave it out"),
            (
                edge > MOST_AT_EDGE * peak,
                f"has more than {MOST_AT_EDGE:.1%} of its peak at the edge",
                "subtract the sky, or cut larger stamps",
            ),
        ):
            if bad.any():
                raise InputError(f"{where}: stamp {int(np.argmax(bad))} {what}", fix)
        unit = images / total[:, None, None]
        axis = np.arange(images.shape[1]) - images.shape[1] // 2
        order = np.argsort(np.hypot(axis[None, :], axis[:, None]).ravel(), kind="stable")
        radius = np.hypot(axis[None, :], axis[:, None]).ravel()[order]
        within = np.cumsum(unit.reshape(len(unit), -1)[:, order], axis=1)
        half = radius[np.argmax(within >= 0.5, axis=1)]
        return cls(unit, np.maximum(half, 0.5))

    def traced(self, source: Source, at: tuple[float, float], tracer: RayTracer) -> NDArray[np.float64]:
        """The image of a source with the shape of its stamp, of unit flux: (size, size) float64.

        Parameters
        ----------
        at : (x, y)
            Where the source lies in the source plane, arcsec.
        """
        from scipy.ndimage import map_coordinates

        stamp, main = self.images[source.stamp or 0], source.main
        px_per_arcsec = self.r_half_px[source.stamp or 0] / main.r_half
        half = stamp.shape[0] // 2
        c, s = np.float32(np.cos(main.phi) * px_per_arcsec), np.float32(np.sin(main.phi) * px_per_arcsec)

        def brightness(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
            place = [c * y - s * x + half, c * x + s * y + half]
            found = map_coordinates(stamp, place, order=1, mode="constant", cval=0.0)
            return np.asarray(found * px_per_arcsec**2, np.float32)

        reach = np.sqrt(2) * (half + 1) / px_per_arcsec
        rays = int(np.ceil(tracer.pixel_scale / FINE_RAY_ARCSEC - 1e-6))
        return tracer.image(brightness, at[0], at[1], float(reach), rays)


def read_stamps(path: str | Path) -> Stamps:
    """Stamps of an .npz file with `stamps`; InputError if they are none."""
    try:
        images = np.asarray(npz.read_arrays(path)["stamps"], np.float32)
    except (OSError, KeyError, TypeError, *npz.BROKEN) as error:
        raise InputError(f"{path}: no stamps can be read", "give an .npz with an array `stamps`, K x s x s") from error
    return Stamps.of(images, str(path))
