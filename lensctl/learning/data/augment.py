"""Augmentations that do not change what a cutout shows, batched on the device.

Only rotations by 90 degrees, flips, small shifts, weak noise and slight blur. Brightness, colour and scale
distinguish an arc from a galaxy, so they are not changed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from lensctl.learning.data.normalise import SIGMA_PER_MAD, annulus, annulus_radii
from lensctl.learning.randomness import numpy_generator, torch_generator

BLUR_REACH_PX = 2
"""Half-width of the blur kernel."""


@dataclass(frozen=True)
class Augmentation:
    """Which augmentations are applied, and their maximum size; False or 0 turns one off.

    Parameters
    ----------
    rotate, flip : bool
        Rotations by 0, 90, 180 or 270 degrees; flips along either axis, each with probability one half.
    shift_px : int
        Whole pixels along x and y, from -shift_px to shift_px; pixels from beyond the crop are used where the
        cutout has them, else the edge is mirrored.
    noise : float
        Gaussian noise of up to this fraction of the cutout's own background sigma, per band.
    blur_px : float
        Gaussian blur of up to this sigma. 0.5 px at 0.262 arcsec turns a PSF of 1.20 arcsec FWHM into one of 1.24.
    """

    rotate: bool = True
    flip: bool = True
    shift_px: int = 5
    noise: float = 0.1
    blur_px: float = 0.5

    def __call__(
        self, cutouts: torch.Tensor, crop: int, *purpose: int, first: int = 0, of: int | None = None
    ) -> torch.Tensor:
        """Crop and augment a batch; deterministic for a given batch and purpose.

        Parameters
        ----------
        cutouts : (B, M, M, bands) float in nanomaggies
            Channels last; finite. M >= crop, and crop + 2 * shift_px suffices.
        crop : int
            Side of the output.
        purpose : ints
            Such as (seed, epoch, batch).
        first, of : int
            If the cutouts are part of a batch of `of`, starting at index `first`: augmented as in the whole batch.

        Returns
        -------
        (B, bands, crop, crop) float32, in channels_last memory format
        """
        count = len(cutouts)
        of, here = of or count, slice(first, first + count)
        draw = numpy_generator("augment", *purpose)
        turns = draw.integers(0, 4 if self.rotate else 1, of)[here]
        mirrors = draw.integers(0, 2 if self.flip else 1, (2, of))[:, here]
        shifts = draw.integers(-self.shift_px, self.shift_px + 1, (2, of))[:, here]
        blurs = draw.uniform(0, 1, of)[here] * self.blur_px
        noises = draw.uniform(0, 1, of)[here] * self.noise

        reach = BLUR_REACH_PX if self.blur_px else 0
        moved = move(cutouts, crop + 2 * reach, *(torch.from_numpy(v) for v in (turns, *mirrors, *shifts)))
        x = blur(moved, torch.from_numpy(blurs)) if reach else moved
        if self.noise:
            sigma = torch.from_numpy(noises).to(x).view(-1, 1) * background_sigma(x)  # (B, bands)
            grain = x.new_empty(of, *x.shape[1:]).normal_(generator=torch_generator(x.device, "noise", *purpose))[here]
            grain.view(count, crop, -1).mul_(sigma.repeat(1, crop)[:, None])  # avoids a slow short inner axis
            x += grain
        return x.permute(0, 3, 1, 2)


def centre(cutouts: torch.Tensor, crop: int) -> torch.Tensor:
    """(B, M, M, bands) to its central (B, bands, crop, crop) float32, in channels_last memory format."""
    start = (cutouts.shape[1] - crop) // 2
    x = cutouts[:, start : start + crop, start : start + crop].to(torch.float32)
    return x.permute(0, 3, 1, 2)


def move(
    cutouts: torch.Tensor,
    size: int,
    turns: torch.Tensor,
    flip_y: torch.Tensor,
    flip_x: torch.Tensor,
    dy: torch.Tensor,
    dx: torch.Tensor,
) -> torch.Tensor:
    """Shift, rotate and flip by indexing pixels: no value is changed or interpolated.

    Parameters
    ----------
    cutouts : (B, M, M, bands)
    size : int
        Side of the output; without augmentation its pixel size // 2 is the cutout's M // 2.
    turns : (B,) int
        Number of rotations by 90 degrees.
    flip_y, flip_x : (B,) int
        1 flips the rows, or the columns, after the rotation.
    dy, dx : (B,) int
        Offset of the output window along rows and columns, pixels.

    Returns
    -------
    (B, size, size, bands) float32
    """
    side, device = cutouts.shape[1], cutouts.device
    which = (turns * 4 + flip_y * 2 + flip_x).to(device)
    dy, dx = (shift.to(device, torch.int32) for shift in (dy, dx))
    table = _pick_tables(size, device)[which]  # (B, 2, size, size): row and column to pick
    start = side // 2 - size // 2
    rows = _mirror_at_edges(table[:, 0] + (dy + start)[:, None, None], side)
    columns = _mirror_at_edges(table[:, 1] + (dx + start)[:, None, None], side)
    first = torch.arange(len(cutouts), dtype=torch.int32, device=device) * side
    flat = (first[:, None, None] + rows) * side + columns
    picked = cutouts.reshape(-1, cutouts.shape[3]).index_select(0, flat.flatten())
    return picked.to(torch.float32).view(len(cutouts), size, size, -1)


@functools.lru_cache(maxsize=16)
def _pick_tables(size: int, device: torch.device) -> torch.Tensor:
    """(16, 2, size, size): source row and column of each output pixel, for each rotation and flip."""
    along = torch.arange(size, dtype=torch.int32, device=device)  # half of int64's memory traffic
    row, column = torch.meshgrid(along, along, indexing="ij")
    where = torch.stack([row, column])
    tables = []
    for turn in range(4):
        turned = torch.rot90(where, turn, dims=(1, 2))
        tables += [turned, turned.flip(2), turned.flip(1), turned.flip(1, 2)]
    return torch.stack(tables)


def _mirror_at_edges(index: torch.Tensor, side: int) -> torch.Tensor:
    """Reflect indices outside 0 .. side - 1 about the first and last pixel."""
    return (side - 1) - ((side - 1) - index.abs()).abs()


def blur(x: torch.Tensor, sigma_px: torch.Tensor) -> torch.Tensor:
    """Convolve each image with its own Gaussian.

    Parameters
    ----------
    x : (B, H, W, bands) float32
    sigma_px : (B,) float64

    Returns
    -------
    (B, H - 4, W - 4, bands) float32
        Without the two pixels at each edge.
    """
    distance = torch.arange(BLUR_REACH_PX + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (distance / sigma_px.clamp_min(1e-3)[:, None]) ** 2)  # (B, 3): centre, 1 px, 2 px
    weights /= weights[:, :1] + 2 * weights[:, 1:].sum(dim=1, keepdim=True)
    near, next_to, far = (w.to(x).view(-1, 1, 1, 1) for w in weights.T)
    rows: torch.Tensor = near * x[:, 2:-2] + next_to * (x[:, 1:-3] + x[:, 3:-1]) + far * (x[:, :-4] + x[:, 4:])
    near_both: torch.Tensor = near * rows[:, :, 2:-2] + next_to * (rows[:, :, 1:-3] + rows[:, :, 3:-1])
    return near_both.add_(far * (rows[:, :, :-4] + rows[:, :, 4:]))


def background_sigma(x: torch.Tensor) -> torch.Tensor:
    """Robust sigma per image and band, from every fourth pixel of the outer annulus.

    (B, S, S, bands) to (B, bands), in the unit of the pixels; accurate to about 5% at S = 64.
    """
    size = x.shape[1]
    ring = torch.from_numpy(annulus(size, *annulus_radii(size))[::4].copy()).to(x.device)
    outer = x.flatten(1, 2)[:, ring].transpose(1, 2).contiguous()  # (B, bands, K)
    middle = outer.median(dim=2, keepdim=True).values
    deviation: torch.Tensor = (outer - middle).abs().median(dim=2).values
    return SIGMA_PER_MAD * deviation
