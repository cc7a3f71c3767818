"""Images of PSFs, galaxy by galaxy, as kernels for light that is integrated over pixels already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.cutouts import npz
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_psfs(path: str | Path, bands: int) -> Mapping[str, NDArray[np.float32]]:
    """PSFs of an .npz file with `galaxy_id` (N,) and `psf` (N, B, k, k), k odd: kernels (B, k, k) by id.

    Raises InputError if it has none, or other shapes, bands or numbers.
    """
    try:
        found = npz.read_arrays(path)
        ids, images = found["galaxy_id"], np.asarray(found["psf"], np.float64)
    except (OSError, KeyError, TypeError, *npz.BROKEN) as error:
        raise InputError(
            f"{path}: no PSFs can be read", "give an .npz with galaxy_id and psf, N x B x k x k"
        ) from error
    if ids.ndim != 1 or images.ndim != 4 or images.shape[:2] != (len(ids), bands) or images.shape[2] != images.shape[3]:
        shape = " x ".join(map(str, images.shape))
        raise InputError(f"{path}: psf is {shape}", f"give {len(ids)} x {bands} x k x k images, centred")
    if images.shape[2] % 2 == 0 or not np.isfinite(images).all() or not (images.sum(axis=(2, 3)) > 0).all():
        raise InputError(f"{path}: a PSF has an even side, NaN, or no light", "centre each on its middle pixel")
    return {str(id): kernels_of(psf) for id, psf in zip(ids.tolist(), images, strict=True)}


def kernels_of(psf: NDArray[np.float64]) -> NDArray[np.float32]:
    """PSFs as the survey's images show them, integrated over pixels, without that integration: (B, k, k) float32.

    Light that is integrated over pixels would be so twice with the image itself, which costs 1.7 % of the peak of arcs.
    The pixel is divided out as its transform, sinc(fx) sinc(fy), which is 0.64 at the highest frequency along an axis.
    """
    from scipy import fft

    side = psf.shape[-1]
    sinc = np.sinc(fft.fftfreq(side))[:, None] * np.sinc(fft.rfftfreq(side))[None, :]
    sharper = fft.irfft2(fft.rfft2(psf, axes=(-2, -1)) / sinc, (side, side), axes=(-2, -1))
    return np.asarray(sharper / sharper.sum(axis=(-2, -1), keepdims=True), np.float32)
