"""The catalogue's noise, exposures and mask bits are those of its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.rules.survey import LS_DR10
from lensctl.sky import measure
from tests.toys.small_sky import example, plane


def test_noise_in_the_catalogue_is_that_of_the_pixels(root, plan, tractor):
    p = next(p for p in plan if not p.dirt.missing_band)
    row = tractor[tractor["brickid"] == p.brick.id][0]
    sigma = 1 / np.sqrt(float(plane(root, p, "invvar", "r")[round(row["by"]), round(row["bx"])]))
    gaussian = 4 * np.pi * (row["psfsize_r"] / 2.3548 / 0.262) ** 2
    assert 1 / np.sqrt(row["psfdepth_r"]) == pytest.approx(sigma * np.sqrt(gaussian), rel=0.25)
    assert row["galdepth_r"] < row["psfdepth_r"]


def test_catalogue_counts_exposures_as_the_maps_do(root, plan, tractor):
    unexposed = 0
    for p in plan:
        rows = tractor[tractor["brickid"] == p.brick.id]
        for band in set("grz") - {p.dirt.missing_band}:
            nexp = plane(root, p, "nexp", band)
            near = [nexp[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2] for x, y in rows[["bx", "by"]]]
            for count, around in zip(rows[f"nobs_{band}"], near, strict=True):
                assert count in around
        bare = rows[f"nobs_{p.dirt.unexposed_band or 'g'}"] == 0
        assert (rows[f"flux_{p.dirt.unexposed_band or 'g'}"][bare] == 0).all()
        unexposed += bare.sum()
    assert unexposed


def test_objects_carry_the_maskbits_of_their_pixel(root, plan, tractor):
    p = next(p for p in plan if p.dirt.bright_star)
    bits = plane(root, p, "maskbits")
    rows = tractor[tractor["brickid"] == p.brick.id]
    assert rows["maskbits"].any()
    for row in rows:
        y, x = round(row["by"]), round(row["bx"])
        assert row["maskbits"] in bits[y - 1 : y + 2, x - 1 : x + 2]


def test_catalogue_fluxes_of_another_survey_are_the_true_ones_within_their_noise(other):
    rows, truth = other.tractor, other.truth
    plain = ~truth["is_lens"].to_numpy(zero_copy_only=False)
    for band in other.survey.bands:
        seen = plain & (rows[f"nobs_{band}"] > 0)
        true = truth[f"flux_{band}"].to_numpy()[seen]
        flux, ivar = rows[f"flux_{band}"][seen], rows[f"flux_ivar_{band}"][seen]
        off = (flux - true) / np.sqrt(1 / ivar + (0.0224 * true) ** 2)
        assert abs(off.mean()) < 4 / np.sqrt(len(off)) + 0.1
        assert off.std() == pytest.approx(1.0, abs=0.3)


def test_the_catalogue_of_another_survey_has_its_seeing_in_each_band(other):
    rows = other.tractor
    for band, imaging in other.survey.imaging.items():
        seen = rows[f"psfsize_{band}"][rows[f"nobs_{band}"] > 0]
        assert np.median(seen) == pytest.approx(imaging.psf_fwhm_arcsec, rel=0.12)


def test_extinction_is_the_listed_one_or_lies_between_those_of_neighbouring_wavelengths():
    assert measure.extinction("r", LS_DR10) == 2.165
    survey = example("vis-yjh")
    found = [measure.extinction(band, survey) for band in survey.bands]
    assert 1.592 < found[0] < 2.165
    assert 1.211 > found[1] > found[2] > found[3] > 0.184
    assert found[1] == pytest.approx(1.211 * (0.184 / 1.211) ** (np.log(1.08 / 0.926) / np.log(3.35 / 0.926)))


def test_only_catalogues_of_dr10_have_its_release_number(other, tractor):
    assert set(tractor["release"]) == {10000}
    assert set(other.tractor["release"]) == {10000 if other.survey.layer == "ls-dr10" else 0}
