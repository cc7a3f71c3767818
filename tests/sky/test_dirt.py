"""Noise is what invvar says; gaps, holes and bright stars are there, are marked, and spare no lens."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.sky import dirt
from lensctl.sky.pointings import generator
from tests.toys.small_sky import plane


def test_noise_is_what_invvar_says(root, plan):
    p = next(p for p in plan if not p.dirt.missing_band and not p.dirt.bright_star)
    for band in "grz":
        image, invvar = plane(root, p, "image", band), plane(root, p, "invvar", band)
        good = (invvar[1:] > 0) & (invvar[:-1] > 0)  # no holes
        step = np.diff(image, axis=0)[good]  # of neighbours: free of the light that varies slowly
        sigma = 1.4826 * np.median(np.abs(step - np.median(step))) / np.sqrt(2)
        assert sigma == pytest.approx(float(np.median(1 / np.sqrt(invvar[invvar > 0]))), rel=0.12)


def test_where_there_is_no_exposure_image_and_invvar_are_exactly_zero(root, plan, tractor):
    p = next(p for p in plan if p.dirt.unexposed_band)
    band = p.dirt.unexposed_band
    bare = plane(root, p, "nexp", band) == 0
    assert 0.1 < bare.mean() < 0.3
    assert (plane(root, p, "image", band)[bare] == 0).all()
    assert (plane(root, p, "invvar", band)[bare] == 0).all()
    assert (plane(root, p, "image", band)[~bare] != 0).mean() > 0.99


def test_nan_pixels_are_in_the_centre_of_some_objects_and_beside_others(root, plan, tractor):
    central = beside = 0
    for p in plan:
        holes = np.zeros((p.size, p.size), bool)
        for band in set("grz") - {p.dirt.missing_band}:
            image = plane(root, p, "image", band)
            holes |= np.isnan(image)
            assert (plane(root, p, "invvar", band)[np.isnan(image)] == 0).all()
        for x, y in tractor[tractor["brickid"] == p.brick.id][["bx", "by"]]:
            cutout = holes[round(y) - 50 : round(y) + 51, round(x) - 50 : round(x) + 51]
            central += cutout[40:61, 40:61].any()
            beside += cutout.any() and not cutout[18:82, 18:82].any()
    assert central >= 1
    assert beside >= 1


def test_bright_stars_are_saturated_and_masked(root, plan, tractor):
    p = next(p for p in plan if p.dirt.bright_star and not p.dirt.missing_band)
    bits = plane(root, p, "maskbits")
    medium = (bits & (1 << dirt.BIT_MEDIUM)) > 0
    assert 0.005 < medium.mean() < 0.4
    saturated = (bits & (1 << dirt.BITS_SATURATED[1])) > 0
    assert saturated.any()
    assert (plane(root, p, "invvar", "r")[saturated] == 0).all()
    assert np.nanmax(plane(root, p, "image", "r")) < 1.2 * dirt.SATURATION_NANOMAGGY[1]


def test_dirt_does_not_look_whether_an_object_is_a_lens():
    """Holes are punched at objects by their number alone: over many tries lenses get their share."""
    x = np.linspace(60, 240, 40)
    hits = np.zeros(40)
    for seed in range(300):
        blank = np.ones((3, 300, 300), np.float32)
        planes = dirt.Planes(blank, blank.copy(), np.ones((3, 300, 300), np.int16), np.zeros((300, 300), np.int32))
        dirt.punch_holes(generator(seed), planes, x, np.full(40, 150.0), 1, 0)
        hits += np.isnan(planes.image).any(axis=0)[146:156].any(axis=0)[np.rint(x).astype(int)]
    assert hits[:20].sum() == pytest.approx(hits[20:].sum(), rel=0.25)
