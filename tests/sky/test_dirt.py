"""Noise is what invvar says; gaps, holes and bright stars are there, are marked, and spare no lens."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lensctl.rules.survey import LS_DR10
from lensctl.sky import dirt
from lensctl.sky.objects.styles import STYLES
from lensctl.sky.pointings import Dirt, generator
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
    medium = (bits & (1 << LS_DR10.mask_bits["MEDIUM"])) > 0
    assert 0.005 < medium.mean() < 0.4
    saturated = (bits & (1 << LS_DR10.mask_bits["SATUR_R"])) > 0
    assert saturated.any()
    assert (plane(root, p, "invvar", "r")[saturated] == 0).all()
    assert np.nanmax(plane(root, p, "image", "r")) < 1.2 * LS_DR10.imaging["r"].saturation_nanomaggy


def test_dirt_does_not_look_whether_an_object_is_a_lens(plan):
    """Holes are punched at objects by their number alone: over many tries lenses get their share."""
    x = np.linspace(60, 240, 40)
    hits = np.zeros(40)
    one_hole = dataclasses.replace(plan[0], dirt=Dirt(nan_centres=1))
    for seed in range(300):
        blank = np.ones((3, 300, 300), np.float32)
        planes = dirt.Planes(blank, blank.copy(), np.ones((3, 300, 300), np.int16), np.zeros((300, 300), np.int32))
        dirt.punch_holes(generator(seed), planes, x, np.full(40, 150.0), one_hole)
        hits += np.isnan(planes.image).any(axis=0)[146:156].any(axis=0)[np.rint(x).astype(int)]
    assert hits[:20].sum() == pytest.approx(hits[20:].sum(), rel=0.25)


def test_holes_at_the_end_of_a_cutout_lie_within_it_whatever_its_size(other):
    half, side = other.survey.cutout_size_px // 2, 400
    p = dataclasses.replace(other.plan[0], dirt=Dirt(nan_edges=1))
    distances = []
    for seed in range(60):
        blank = np.ones((4, side, side), np.float32)
        planes = dirt.Planes(blank, blank.copy(), np.ones((4, side, side), np.int16), np.zeros((side, side), np.int32))
        dirt.punch_holes(generator(seed), planes, np.array([200.0]), np.array([200.0]), p)
        spoiled = np.isnan(planes.image)
        assert spoiled.any(axis=(1, 2)).sum() in (1, 4)
        y, x = np.nonzero(spoiled.any(axis=0))
        distances.append(np.maximum(abs(x - 200), abs(y - 200)).min())
    assert 0.6 * half < min(distances) <= max(distances) < half


def test_noise_of_another_survey_is_what_invvar_says_in_each_band(other):
    p = next(p for p in other.plan if not p.dirt.missing_band and not p.dirt.bright_star)
    for i, band in enumerate(other.survey.bands):
        image, invvar = plane(other.root, p, "image", band), plane(other.root, p, "invvar", band)
        good = (invvar[1:] > 0) & (invvar[:-1] > 0)
        step = np.diff(image, axis=0)[good]
        sigma = 1.4826 * np.median(np.abs(step - np.median(step))) / np.sqrt(2)
        assert sigma == pytest.approx(float(np.median(1 / np.sqrt(invvar[invvar > 0]))), rel=0.12)
        assert p.noise[i] == pytest.approx(other.survey.imaging[band].noise_nanomaggy, rel=0.4)


def test_bits_are_the_surveys_and_bits_without_a_name_are_not_set(plan):
    x, y, magnitude = np.array([50.0]), np.array([50.0]), np.array([12.0])
    plain = dataclasses.replace(LS_DR10, criteria={"plan": {"maskbits": "maskbits == 0"}})
    mine = dataclasses.replace(plain, mask_bits={"BRIGHT": 6})
    assert set(np.unique(dirt.star_mask(x, y, magnitude, 200, mine))) == {0, 1 << 6}
    none = dataclasses.replace(plain, mask_bits={})
    assert not dirt.star_mask(x, y, magnitude, 200, none).any()
    p = dataclasses.replace(plan[0], survey=mine)
    light, bits = np.full((3, 9, 9), 1e4, np.float32), np.zeros((9, 9), np.int32)
    planes = dirt.expose(generator(1), light, np.ones((3, 9, 9), np.int16), bits, p)
    assert not planes.maskbits.any()
    assert not planes.invvar.any()


@pytest.mark.parametrize("style", list(STYLES.values()), ids=list(STYLES))
@pytest.mark.parametrize("brightness", [0.0, 0.3, 5.0])
def test_noise_times_root_invvar_is_one_or_the_factor_of_the_style_on_blank_and_bright_pixels(plan, style, brightness):
    p = dataclasses.replace(plan[0], size=400, style=style)
    light = np.full((3, 400, 400), brightness, np.float32)
    nexp = np.full((3, 400, 400), 4, np.int16)
    planes = dirt.expose(generator(5), light, nexp, np.zeros((400, 400), np.int32), p)
    noise = planes.image - np.median(planes.image, axis=(1, 2))[:, None, None]
    scaled = (noise * np.sqrt(planes.invvar)).std(axis=(1, 2))
    assert scaled == pytest.approx(np.full(3, style.noise_factor), rel=0.03)


def test_the_gain_is_the_slope_of_variance_with_brightness(root, plan):
    """Read back from the planes as written, against the gain and the exposures of the pointing."""
    read = 0
    for p in plan:
        for i, band in enumerate("grz"):
            if p.dirt.missing_band == band:
                continue
            image, invvar, nexp = (plane(root, p, kind, band) for kind in ("image", "invvar", "nexp"))
            sigma = p.noise[i] / np.sqrt(p.nobs[i])
            use = (nexp == p.nobs[i]) & (invvar > 0) & (image > 10 * sigma) & (image < 10)
            slope, _ = np.polyfit(image[use], 1 / invvar[use], 1)
            assert 1 / slope == pytest.approx(p.gain[i] * p.nobs[i], rel=0.05)
            blank = (nexp == p.nobs[i]) & (invvar > 0) & (abs(image) < 0.2 * sigma)
            assert np.median(1 / invvar[blank]) / slope == pytest.approx(p.sky[i], rel=0.06)
            read += 1
    assert read > 50


def test_two_pointings_of_one_camera_differ_by_exposures_sky_and_gain(plan):
    for i, imaging in enumerate(LS_DR10.imaging.values()):
        for name, typical in (("sky", imaging.sky_nanomaggy), ("gain", imaging.electrons_per_nanomaggy)):
            values = np.array([getattr(p, name)[i] for p in plan])
            assert np.median(values) == pytest.approx(typical, rel=0.12)
            assert 0.04 < np.log(values).std() < 0.25
        assert [p.noise[i] for p in plan] == pytest.approx([np.sqrt(p.sky[i] / p.gain[i]) for p in plan])


def test_noise_never_makes_the_weight_of_a_dark_pixel_endless(plan):
    p = dataclasses.replace(plan[0], size=50, gain=(1.0, 1.0, 1.0))  # noise far above the sky
    light, bits = np.zeros((3, 50, 50), np.float32), np.zeros((50, 50), np.int32)
    invvar = dirt.expose(generator(5), light, np.ones((3, 50, 50), np.int16), bits, p).invvar
    assert (invvar > 0).all()
    assert invvar.max(axis=(1, 2)) == pytest.approx(1 / (dirt.DARKEST * np.array(p.sky)), rel=1e-5)
