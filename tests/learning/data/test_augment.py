"""Augmentation: each switch does what it says and no more, the same for the same purpose."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.learning.data import augment
from lensctl.learning.data.augment import Augmentation, centre, move

OFF = Augmentation(rotate=False, flip=False, shift_px=0, noise=0.0, blur_px=0.0)


def stamps(count: int = 16, size: int = 31, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (count, size, size, 3)).astype(np.float32))


def moved(
    x: torch.Tensor, size: int, turn: int = 0, fy: int = 0, fx: int = 0, dy: int = 0, dx: int = 0
) -> torch.Tensor:
    return move(x, size, *(torch.full((len(x),), v) for v in (turn, fy, fx, dy, dx)))


def test_with_every_switch_off_it_is_the_centre():
    x = stamps()
    assert torch.equal(OFF(x, 21, 1, 2, 3), centre(x, 21))


@pytest.mark.parametrize(("turn", "fy", "fx"), list(itertools.product(range(4), (0, 1), (0, 1))))
def test_turns_and_mirrors_are_those_of_numpy(turn, fy, fx):
    x = stamps(2, 9)
    wanted = np.rot90(x.numpy(), turn, axes=(1, 2))
    wanted = wanted[:, ::-1] if fy else wanted
    wanted = wanted[:, :, ::-1] if fx else wanted
    np.testing.assert_array_equal(moved(x, 9, turn, fy, fx), wanted)


@given(dy=st.integers(-5, 5), dx=st.integers(-5, 5), crop=st.sampled_from([20, 21]))
@settings(max_examples=40, deadline=None)
def test_a_shift_brings_in_real_pixels_from_beyond_the_crop(dy, dx, crop):
    x = stamps(2, 31)
    start = 31 // 2 - crop // 2
    wanted = x[:, start + dy : start + dy + crop, start + dx : start + dx + crop]
    assert torch.equal(moved(x, crop, dy=dy, dx=dx), wanted)


@given(dy=st.integers(-5, 5), dx=st.integers(-5, 5))
@settings(max_examples=40, deadline=None)
def test_where_the_cutout_ends_a_shift_mirrors_it(dy, dx):
    x = stamps(1, 15)
    padded = np.pad(x.numpy(), ((0, 0), (5, 5), (5, 5), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(moved(x, 15, dy=dy, dx=dx), padded[:, 5 + dy : 20 + dy, 5 + dx : 20 + dx])


def test_the_object_stays_where_the_crop_has_it():
    x = torch.zeros(1, 101, 101, 3)
    x[0, 50, 50] = 1
    for crop in (64, 63, 101):
        assert moved(x, crop)[0, crop // 2, crop // 2, 0] == 1
        assert centre(x, crop)[0, 0, crop // 2, crop // 2] == 1


def test_the_same_purpose_gives_the_same_batch_and_another_gives_another():
    x = stamps()
    one = Augmentation()(x, 16, 1, 2, 3)
    assert torch.equal(one, Augmentation()(x, 16, 1, 2, 3))
    assert not torch.equal(one, Augmentation()(x, 16, 1, 2, 4))


def test_global_randomness_is_neither_used_nor_touched():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    Augmentation()(stamps(), 16, 1, 2, 3)
    assert torch.equal(before, torch.get_rng_state())


def test_all_eight_orientations_come_and_pixels_are_only_moved():
    x = stamps(1, 9).expand(200, 9, 9, 3)
    made = Augmentation(shift_px=0, noise=0, blur_px=0)(x, 9, 0).permute(0, 2, 3, 1)
    wanted = {moved(x[:1], 9, turn, fy).numpy().tobytes() for turn in range(4) for fy in (0, 1)}
    assert {image.contiguous().numpy().tobytes() for image in made} == wanted


@pytest.mark.parametrize(("switch", "count"), [({"rotate": True}, 4), ({"flip": True}, 4), ({}, 1)])
def test_each_switch_does_what_it_says(switch, count):
    x = stamps(1, 9).expand(200, 9, 9, 3)
    made = Augmentation(**{**vars(OFF), **switch})(x, 9, 0)
    assert len({image.contiguous().numpy().tobytes() for image in made}) == count


def test_shifts_reach_as_far_as_allowed_and_no_further():
    x = torch.zeros(500, 31, 31, 3)
    x[:, 15, 15] = 1
    made = Augmentation(rotate=False, flip=False, shift_px=5, noise=0, blur_px=0)(x, 21, 0)
    found = made[:, 0].flatten(1).argmax(dim=1)
    offsets = {(int(f) // 21 - 10, int(f) % 21 - 10) for f in found}
    assert {dy for dy, _ in offsets} == set(range(-5, 6)) == {dx for _, dx in offsets}


def test_noise_stays_below_a_tenth_of_the_background():
    x = 3.0 * stamps(64, 64)
    added = (Augmentation(**{**vars(OFF), "noise": 0.1})(x, 64, 0) - centre(x, 64)).std(dim=(2, 3)) / 3.0
    assert added.max() < 0.12
    assert 0.03 < added.mean() < 0.07


def test_noise_follows_each_band():
    x = stamps(64, 64) * torch.tensor([1.0, 10.0, 100.0])
    added = (Augmentation(**{**vars(OFF), "noise": 0.1})(x, 64, 0) - centre(x, 64)).std(dim=(2, 3)).mean(dim=0)
    np.testing.assert_allclose(added / added[0], [1, 10, 100], rtol=0.1)


def test_a_blur_keeps_the_flux_and_widens_by_its_sigma():
    x = torch.zeros(1, 21, 21, 3)
    x[0, 10, 10] = 1
    made = augment.blur(x, torch.tensor([0.6], dtype=torch.float64))[0, ..., 0].numpy()
    assert made.shape == (17, 17)
    assert made.sum() == pytest.approx(1, abs=1e-6)
    y, _ = np.indices(made.shape) - 8
    assert (made * y**2).sum() == pytest.approx(0.6**2, rel=0.05)
    np.testing.assert_allclose(made, made.T, atol=1e-7)


def test_no_blur_is_the_identity():
    x = stamps(2, 11)
    np.testing.assert_allclose(augment.blur(x, torch.zeros(2, dtype=torch.float64)), x[:, 2:-2, 2:-2], atol=1e-7)


def test_brightness_colour_and_scale_are_not_touched():
    assert {field.name for field in fields(Augmentation)} == {"rotate", "flip", "shift_px", "noise", "blur_px"}
    flat = torch.tensor([1.0, 2.0, 3.0]).expand(8, 31, 31, 3)
    np.testing.assert_allclose(Augmentation()(flat, 21, 0).permute(0, 2, 3, 1), flat[:, :21, :21], rtol=1e-6)


@pytest.mark.parametrize("switches", [Augmentation(), OFF], ids=["all", "off"])
def test_batches_come_channels_last_without_a_copy(switches):
    assert switches(stamps(), 16, 0).is_contiguous(memory_format=torch.channels_last)


def test_the_background_is_told_to_a_few_percent():
    sigma = augment.background_sigma(2.0 * stamps(200, 64))
    assert sigma.shape == (200, 3)
    assert sigma.mean() == pytest.approx(2.0, rel=0.03)


def test_kept_as_bfloat16_it_computes_in_float32():
    assert Augmentation()(stamps().to(torch.bfloat16), 16, 0).dtype == torch.float32
    assert centre(stamps().to(torch.bfloat16), 16).dtype == torch.float32
