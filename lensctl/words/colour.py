"""Colour pictures of cutouts, as astronomers look at them: z, r, g as red, green, blue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOFTENING = 10.0
STRETCH_NANOMAGGY = 0.05
BAND_GAIN = (1.6, 1.1, 0.7)  # g, r, z: makes a typical early-type galaxy at z ~ 0.5 look warm white


def lupton_rgb(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Asinh colour images that keep hue where they saturate (Lupton et al. 2004, PASP 116, 133).

    Parameters
    ----------
    images : (..., H, W, 3) float32
        g, r, z in nanomaggies; NaN is shown as a muted magenta, so that holes are seen.

    Returns
    -------
    (..., H, W, 3) uint8
        Red, green, blue.
    """
    import numpy as np

    holes = ~np.isfinite(images).all(axis=-1)
    rgb = np.nan_to_num(images.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)[..., ::-1] * BAND_GAIN[::-1]
    intensity = np.maximum(rgb.mean(axis=-1, keepdims=True), 1e-6)
    scaled = np.arcsinh(SOFTENING * intensity / STRETCH_NANOMAGGY / 10) / SOFTENING * 2.6
    rgb = np.clip(rgb * (scaled / intensity), 0, None)
    rgb = rgb / np.maximum(rgb.max(axis=-1, keepdims=True), 1.0)
    picture: NDArray[np.uint8] = (rgb * 255 + 0.5).astype(np.uint8)
    picture[holes] = (110, 40, 110)
    return picture
