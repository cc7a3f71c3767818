"""Stamps are read, checked, and take the size that was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.astro.ray_tracing import RayTracer
from lensctl.astro.sersic import Sersic
from lensctl.injection.drawing import Source
from lensctl.injection.stamps import Stamps, read_stamps
from lensctl.rules.errors import InputError


def gaussians(count: int = 2, side: int = 41, sigma: float = 4.0) -> np.ndarray:
    axis = np.arange(side) - side // 2
    return np.repeat(np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * sigma**2))[None], count, axis=0)


def test_a_stamp_has_unit_flux_and_its_half_light_radius(tmp_path):
    np.savez(tmp_path / "s.npz", stamps=gaussians())
    stamps = read_stamps(tmp_path / "s.npz")
    assert stamps.images.sum(axis=(1, 2)) == pytest.approx(np.ones(2), rel=1e-5)
    assert stamps.r_half_px == pytest.approx(np.full(2, 4 * 1.1774), abs=0.4)


def test_a_traced_stamp_keeps_its_flux_and_has_the_size_that_was_drawn():
    part = Sersic(0, 0, 1.0, 0.6, 1.0, 1.0, 0.4)
    source = Source("stamps", ((part,),), (1.0,), (0.0,), (0.3, 0.5), 21.0, 0)
    image = Stamps.of(gaussians(), "s").traced(source, (0.0, 0.0), RayTracer(61, 0.262))
    assert image.sum() == pytest.approx(1, rel=0.01)
    axis = (np.arange(61) - 30) * 0.262
    spread = (image * axis[None, :] ** 2).sum() / image.sum()
    assert np.sqrt(spread) == pytest.approx(0.6 / 1.1774, rel=0.1)


def with_pixel(value: float, at: tuple[int, int, int]) -> np.ndarray:
    images = gaussians()
    images[at] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (gaussians(side=40), "stamps are 2 x 40 x 40"),
        (gaussians()[0], "stamps are 41 x 41"),
        (gaussians(0), "stamps are 0 x 41 x 41"),
        (with_pixel(np.nan, (1, 3, 3)), "a stamp has NaN"),
        (gaussians() * 0, "stamp 0 has no light"),
        (with_pixel(0.01, (1, 0, 3)), r"stamp 1 has more than 0.5% of its peak at the edge"),
    ],
)
def test_bad_stamps_are_refused_by_what_is_wrong(tmp_path, images, message):
    np.savez(tmp_path / "s.npz", stamps=images)
    with pytest.raises(InputError, match=message):
        read_stamps(tmp_path / "s.npz")


def test_a_file_without_stamps_is_refused(tmp_path):
    np.savez(tmp_path / "s.npz", images=gaussians())
    np.savez(tmp_path / "p.npz", stamps=np.array([{}], object))
    (tmp_path / "t.npz").write_bytes(b"PK no zip")
    for name in ("s.npz", "p.npz", "t.npz", "none.npz"):
        with pytest.raises(InputError, match="no stamps can be read"):
            read_stamps(tmp_path / name)
