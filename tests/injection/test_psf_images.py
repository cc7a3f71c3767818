"""Images of PSFs are read by galaxy, checked, and lose the pixel they were integrated over."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.astro.moffat import Psf
from lensctl.injection.psf_images import read_psfs
from lensctl.rules.errors import InputError


def images(count: int = 2, side: int = 31) -> np.ndarray:
    axis = np.arange(side, dtype=np.float32) - side // 2
    one = Psf.of_psfsize(1.3, 2.5, 0.262).on_pixels(axis[None, :], axis[:, None])
    return np.broadcast_to(one, (count, 3, side, side)).astype(np.float64)


def test_a_kernel_has_unit_sum_and_a_higher_peak_than_its_image(tmp_path):
    np.savez(tmp_path / "p.npz", galaxy_id=["a", "b"], psf=images() * 7)
    found = read_psfs(tmp_path / "p.npz", 3)
    assert set(found) == {"a", "b"}
    assert found["a"].sum(axis=(1, 2)) == pytest.approx(np.ones(3), rel=1e-5)
    assert found["a"].max() > images().max()


@pytest.mark.parametrize(
    ("psf", "message"),
    [
        (images(3), "psf is 3 x 3 x 31 x 31"),
        (images()[:, :2], "psf is 2 x 2 x 31 x 31"),
        (images(side=31)[..., :30, :30], "a PSF has an even side"),
        (images() * np.nan, "a PSF has"),
        (images() * 0, "a PSF has"),
    ],
)
def test_bad_psfs_are_refused_by_what_is_wrong(tmp_path, psf, message):
    np.savez(tmp_path / "p.npz", galaxy_id=["a", "b"], psf=psf)
    with pytest.raises(InputError, match=message):
        read_psfs(tmp_path / "p.npz", 3)


def test_a_file_without_psfs_is_refused(tmp_path):
    np.savez(tmp_path / "p.npz", psf=images())
    with pytest.raises(InputError, match="no PSFs can be read"):
        read_psfs(tmp_path / "p.npz", 3)
