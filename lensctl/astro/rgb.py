"""Colour images of cutouts: z, r, g as red, green, blue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOFTENING = 20.0
BAND_GAIN = (6.0, 3.4, 2.2)  # g, r, z: chosen to look like the Legacy Surveys sky viewer
SKY_LEVEL = 0.03
"""Added to each band, so that the sky is dark grey and its noise visible."""
HOLE = (110, 40, 110)
"""Colour of missing pixels: a muted magenta."""


def lupton_rgb(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Asinh colour images, stretched by their mean so that faint parts keep their hue.

    After Lupton et al. 2004, PASP 116, 133. Bright cores saturate in each band, towards white.

    Parameters
    ----------
    images : (..., H, W, 3) float32
        g, r, z in nanomaggies. NaN is shown as a hole; a band without any finite pixel is shown dark.

    Returns
    -------
    (..., H, W, 3) uint8
        Red, green, blue.
    """
    import numpy as np

    bad = ~np.isfinite(images)
    absent = bad.all(axis=(-3, -2), keepdims=True)
    holes = np.where(absent.all(axis=-1, keepdims=True), True, bad & ~absent).any(axis=-1)
    lit = np.where(bad, 0.0, images.astype(np.float32))[..., ::-1] * np.array(BAND_GAIN[::-1], np.float32) + SKY_LEVEL
    lit = np.maximum(lit, 0.0)
    mean = np.maximum(lit.mean(axis=-1, keepdims=True), 1e-6)
    shown = lit * (np.arcsinh(SOFTENING * mean) / np.sqrt(SOFTENING) / mean)
    picture: NDArray[np.uint8] = (np.clip(shown, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    picture[holes] = HOLE
    return picture
