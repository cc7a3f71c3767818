"""The injections of a store rendered again by lenstronomy, in a process of its own: `STORE COUNT OUTPUT.npz WAY`.

It gets what costs it least: rows in memory, kernels made before, no noise, no gain, no file to write, and the stamp
that is traced in place of the cutout. Only its images are timed. Ways:

- bands: an `ImageModel` for each band with its supersampling and the band's PSF, as its users do;
- once: one image without a PSF for all bands, convolved with each kernel by scipy.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from lensctl.astro.moffat import Psf
from lensctl.astro.ray_tracing import FINE_RAY_ARCSEC, RAY_ARCSEC, SMALL_ARCSEC, STEEP_N
from lensctl.astro.sersic import half_light_brightness
from lensctl.injection.rendering import KERNEL_ARCSEC, LARGE_STAMP_ARCSEC, LARGE_THETA_E_ARCSEC, STAMP_ARCSEC, odd_px
from lensctl.io.cutouts.store import open_store

Row = Mapping[str, Any]
WARM_UP = 3


class Lenstronomy:
    """Renders rows of an index on pixels of a scale in some bands."""

    def __init__(self, scale: float, bands: tuple[str, ...]) -> None:
        self.scale, self.bands = scale, bands

    def kernels(self, row: Row) -> list[np.ndarray]:
        """The PSF of a row in each band."""
        side = odd_px(KERNEL_ARCSEC, self.scale)
        sizes = [float(row[f"psfsize_{band}"]) for band in self.bands]
        return [Psf.near_psfsize(size, row["psf_beta"], self.scale).kernel(side).astype(float) for size in sizes]

    def by_band(self, row: Row, kernels: list[np.ndarray]) -> np.ndarray:
        """Images in each band, (B, s, s) nanomaggies: a model for each, as its PSF differs."""
        from lenstronomy.Data.psf import PSF

        images = []
        for band, kernel in zip(self.bands, kernels, strict=True):
            psf = PSF(psf_type="PIXEL", kernel_point_source=kernel)
            images.append(self._model(row, psf).image(self._lens(row), [self._source(row, band)]))
        return np.stack(images)

    def at_once(self, row: Row, kernels: list[np.ndarray]) -> np.ndarray:
        """The same, of one image without a PSF, as all bands have the same shape."""
        from lenstronomy.Data.psf import PSF
        from scipy.signal import fftconvolve

        band = self.bands[0]
        image = self._model(row, PSF(psf_type="NONE")).image(self._lens(row), [self._source(row, band)])
        share = [self._flux(row, other) / self._flux(row, band) for other in self.bands]
        return np.stack([fftconvolve(image * s, kernel, "same") for s, kernel in zip(share, kernels, strict=True)])

    def _model(self, row: Row, psf: Any) -> Any:
        from lenstronomy.Data.pixel_grid import PixelGrid
        from lenstronomy.ImSim.image_model import ImageModel
        from lenstronomy.LensModel.lens_model import LensModel
        from lenstronomy.LightModel.light_model import LightModel

        wide = row["theta_e"] > LARGE_THETA_E_ARCSEC
        side = odd_px(LARGE_STAMP_ARCSEC if wide else STAMP_ARCSEC, self.scale)
        corner = -(side // 2) * self.scale
        to_sky = np.eye(2) * self.scale
        grid = PixelGrid(nx=side, ny=side, transform_pix2angle=to_sky, ra_at_xy_0=corner, dec_at_xy_0=corner)
        fine = row["source_n"] > STEEP_N or row["source_r_half"] < SMALL_ARCSEC
        rays = int(np.ceil(self.scale / (FINE_RAY_ARCSEC if fine else RAY_ARCSEC) - 1e-6))
        numerics = {"supersampling_factor": rays, "supersampling_convolution": False}
        lens, light = LensModel(["SIE", "SHEAR"]), LightModel(["SERSIC_ELLIPSE"])
        return ImageModel(grid, psf, lens, light, kwargs_numerics=numerics)

    def _lens(self, row: Row) -> list[dict[str, float]]:
        x, y = row["offset_x_px"] * self.scale, row["offset_y_px"] * self.scale
        e = (1 - row["lens_q"]) / (1 + row["lens_q"])
        e1, e2 = e * np.cos(2 * row["lens_phi"]), e * np.sin(2 * row["lens_phi"])
        shear = {"gamma1": row["gamma1"], "gamma2": row["gamma2"], "ra_0": x, "dec_0": y}
        return [{"theta_E": row["theta_e"], "e1": e1, "e2": e2, "center_x": x, "center_y": y}, shear]

    def _source(self, row: Row, band: str) -> dict[str, float]:
        q, e = row["source_q"], (1 - row["source_q"]) / (1 + row["source_q"])
        flux = self._flux(row, band)
        return {
            "amp": float(half_light_brightness(flux, row["source_r_half"], row["source_n"], q)),
            "R_sersic": row["source_r_half"] * np.sqrt(q),  # theirs is along the middle of the axes
            "n_sersic": row["source_n"],
            "e1": e * np.cos(2 * row["source_phi"]),
            "e2": e * np.sin(2 * row["source_phi"]),
            "center_x": row["offset_x_px"] * self.scale + row["source_x"],
            "center_y": row["offset_y_px"] * self.scale + row["source_y"],
        }

    def _flux(self, row: Row, band: str) -> float:
        """Unlensed and extinguished, nanomaggies."""
        return float(10 ** (0.4 * (22.5 - row[f"source_mag_{band}"])) * row[f"mw_transmission_{band}"])


def main(path: str, count: int, output: str, way: str) -> None:
    """Render the first rows of a store, say how long it took, and keep the images in the middle of cutouts."""
    store = open_store(path)
    peer = Lenstronomy(store.survey.pixel_scale_arcsec, store.bands)
    render = {"bands": peer.by_band, "once": peer.at_once}[way]
    rows = store.index.slice(0, count).to_pylist()
    kernels = [peer.kernels(row) for row in rows]
    warnings.simplefilter("ignore")
    for row, kernel in zip(rows[:WARM_UP], kernels, strict=False):
        render(row, kernel)
    wall, cpu = time.perf_counter(), time.process_time()
    images = [render(row, kernel) for row, kernel in zip(rows, kernels, strict=True)]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    whole = np.zeros((count, store.size, store.size, len(store.bands)), np.float32)
    for place, image in zip(whole, images, strict=True):
        low = store.size // 2 - image.shape[-1] // 2
        place[low : low + image.shape[-1], low : low + image.shape[-1]] = np.moveaxis(image, 0, -1)
    np.savez(output, images=whole)
    print(json.dumps({"rows": count, "seconds": wall, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
