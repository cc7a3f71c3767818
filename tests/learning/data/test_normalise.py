"""Normalisation: statistics of the training split, the same for a row in any batch and any flux unit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.learning.data import normalise
from lensctl.learning.data.normalise import Normalisation
from lensctl.rules.errors import InputError

ALL = [
    Normalisation("bands", mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0)),
    Normalisation("asinh"),
    Normalisation("annulus", inner_px=4, outer_px=8),
]


def stamps(count: int = 4, size: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0, 1, (count, size, size, 3)).astype(np.float32)


def batch(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@given(cuts=st.lists(st.integers(1, 29), max_size=5, unique=True), crop=st.sampled_from([8, 15, 16]))
@settings(max_examples=30, deadline=None)
def test_band_statistics_do_not_depend_on_how_the_split_is_cut_into_blocks(cuts, crop):
    pixels = stamps(30)
    start = (16 - crop) // 2
    inner = pixels[:, start : start + crop, start : start + crop].astype(np.float64)
    mean, std = normalise.band_statistics(crop, np.split(pixels, sorted(cuts)))
    np.testing.assert_allclose(mean, inner.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, inner.std((0, 1, 2)), rtol=1e-12)


def test_statistics_keep_their_digits_beside_a_large_offset():
    pixels = stamps(20) + np.float32(4096)
    _, std = normalise.band_statistics(16, [pixels])
    np.testing.assert_allclose(std, pixels.astype(np.float64).std((0, 1, 2)), rtol=1e-9)


def test_bands_subtracts_the_mean_and_divides_by_the_std():
    pixels = stamps()
    made = ALL[0](batch(pixels)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(made, (pixels - [0.1, 0.2, 0.3]) / [1, 2, 3], rtol=1e-5, atol=1e-6)


def test_annulus_is_median_and_mad_of_the_ring_clipped():
    pixels = stamps()
    pixels[0, 8, 8] = 1e4
    y, x = np.indices((16, 16)) - 8
    ring = (np.hypot(y, x) >= 4) & (np.hypot(y, x) < 8)
    made = ALL[2](batch(pixels)).permute(0, 2, 3, 1).numpy()
    for image, got in zip(pixels, made, strict=True):
        for band in range(3):
            values = np.sort(image[..., band][ring])
            middle = values[(len(values) - 1) // 2]
            deviations = np.sort(np.abs(values - middle))
            wanted = (image[..., band] - middle) / deviations[(len(values) - 1) // 2]
            np.testing.assert_allclose(got[..., band], np.clip(wanted, -10, 10), rtol=1e-4, atol=1e-5)
    assert made.max() == 10


@given(factor=st.floats(1e-2, 1e3))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("kind", [ALL[1], ALL[2]], ids=lambda n: n.kind)
def test_what_is_taken_from_each_cutout_does_not_depend_on_the_flux_unit(kind, factor):
    pixels = stamps()
    np.testing.assert_allclose(kind(batch(pixels)), kind(batch(pixels * np.float32(factor))), rtol=2e-3, atol=2e-3)


def test_asinh_has_one_scale_for_all_bands_so_that_colours_stay():
    pixels = stamps(1)
    made = torch.sinh(ALL[1](batch(pixels)).double())[0].permute(1, 2, 0).numpy()
    slopes = [np.polyfit(pixels[0, ..., band].ravel(), made[..., band].ravel(), 1)[0] for band in range(3)]
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-4)


@pytest.mark.parametrize("kind", ALL, ids=lambda n: n.kind)
def test_a_row_is_the_same_in_any_batch_and_stays_channels_last(kind):
    pixels = stamps(6)
    together = kind(batch(pixels))
    assert together.is_contiguous(memory_format=torch.channels_last)
    for i in range(6):
        assert torch.equal(together[i : i + 1], kind(batch(pixels[i : i + 1])))


@pytest.mark.parametrize("kind", ALL, ids=lambda n: n.kind)
def test_a_constant_cutout_gives_numbers(kind):
    assert torch.isfinite(kind(torch.full((1, 3, 16, 16), 0.5))).all()


@pytest.mark.parametrize("kind", ALL, ids=lambda n: n.kind)
def test_it_travels_as_json(kind):
    assert Normalisation.from_dict(json.loads(json.dumps(kind.as_dict())), "run.json") == kind


def test_json_of_another_kind_is_refused():
    with pytest.raises(InputError, match=r"run\.json"):
        Normalisation.from_dict({"kind": "zscale"}, "run.json")


def test_the_annulus_is_the_stated_one():
    assert normalise.annulus_radii(64) == (20, 32)
    assert normalise.annulus_radii(101) == (32.5, 45)


@pytest.mark.parametrize("kind", ["asinh", "annulus"])
def test_only_bands_reads_the_training_split(kind):
    def unread():
        raise AssertionError("read")
        yield

    assert normalise.fit(kind, 64, unread()).kind == kind


def test_fit_gives_the_bands_of_the_crop():
    pixels = stamps(10)
    pixels[:, 0] = 1e6
    made = normalise.fit("bands", 8, [pixels])
    assert max(made.mean) < 10


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="zscale"):
        normalise.fit("zscale", 64, [])


@pytest.mark.parametrize("length", [1, 2, 7, 4096])
def test_medians_by_numpy_have_the_bits_of_those_by_torch(length):
    x = torch.randn((5, 3, length), generator=torch.Generator().manual_seed(length))
    middle, deviation = normalise._median_and_mad(x)
    assert torch.equal(middle, x.median(dim=-1).values)
    assert torch.equal(deviation, (x - middle[..., None]).abs().median(dim=-1).values)
    x[0, 0, 0] = torch.nan
    assert torch.isnan(normalise._median_and_mad(x)[0]).tolist() == [[True, False, False], *[[False] * 3] * 4]
