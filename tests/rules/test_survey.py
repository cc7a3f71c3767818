"""The survey as a value: what follows from it, and where its north is."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from lensctl.rules.errors import InputError
from lensctl.rules.survey import BUILT_IN, LS_DR10, LS_DR10_GRIZ
from lensctl.rules.survey_file import survey_of_text
from lensctl.rules.survey_parts import BandImaging, CatalogColumn, ColourRedshift
from tests.toys.surveys import INFRARED, ONE_BAND


def test_the_north_is_above_its_declination_and_north_of_the_galactic_plane():
    random = np.random.default_rng(1)
    ra, dec = random.uniform(0, 360, 20_000), np.degrees(np.arcsin(random.uniform(-1, 1, 20_000)))
    galactic = SkyCoord(ra * u.deg, dec * u.deg).galactic.b.deg
    sure = np.abs(galactic) > 1e-3
    assert (LS_DR10.is_north(ra, dec) == (dec > 32.375) & (galactic > 0))[sure].all()
    assert 0.1 < LS_DR10.is_north(ra, dec).mean() < 0.3


def test_a_survey_without_a_northern_layer_has_no_north():
    one = dataclasses.replace(LS_DR10, northern_layer="")
    assert not one.is_north([200.0, 10.0], [60.0, 60.0]).any()


def test_what_follows_from_scale_size_and_fractions():
    assert LS_DR10.cutout_arcsec == pytest.approx(26.462)
    assert LS_DR10.share_limits == {"train": (0.65, 0.75), "val": (0.12, 0.18), "test": (0.12, 0.18)}
    other = dataclasses.replace(LS_DR10, split_fractions={"train": 0.8, "val": 0.1, "test": 0.1})
    assert other.share_limits == {"train": (0.75, 0.85), "val": (0.07, 0.13), "test": (0.07, 0.13)}


def test_columns_are_named_by_role():
    assert LS_DR10.per_band("flux") == ("flux_g", "flux_r", "flux_z")
    assert (LS_DR10.depth("nobs"), LS_DR10.nobs_bin, LS_DR10.detection_flux) == ("nobs_z", "nobs_z_bin", "flux_r")
    assert LS_DR10.colour_columns == ("g_minus_r", "r_minus_z")
    assert (INFRARED.depth("nobs"), INFRARED.nobs_bin, INFRARED.detection_flux) == ("nobs_H", "nobs_H_bin", "flux_VIS")
    assert INFRARED.colour_columns == ("VIS_minus_Y", "Y_minus_H")
    assert (LS_DR10.picture_order, INFRARED.picture_order) == ((2, 1, 0), (3, 1, 0))
    assert ONE_BAND.picture_order == (0, 0, 0)


def test_the_built_in_surveys_are_those_of_the_release():
    assert list(BUILT_IN) == ["ls-dr10", "ls-dr10-griz"]
    assert LS_DR10_GRIZ.bands == ("g", "r", "i", "z")
    assert LS_DR10_GRIZ.colour_columns == LS_DR10.colour_columns, "so that strata and matching stay comparable"
    assert list(LS_DR10.criteria) == ["plan", "paper4"]
    assert list(LS_DR10.confusers) == ["ring_proxy", "edge_on_proxy", "blue_clumpy", "large_galaxy"]


def test_equal_surveys_are_one_key_and_the_order_of_classes_counts():
    same = dataclasses.replace(LS_DR10, name="ls-dr10")
    assert (same, hash(same)) == (LS_DR10, hash(LS_DR10))
    turned = dataclasses.replace(LS_DR10, confusers=dict(reversed(LS_DR10.confusers.items())))
    assert turned.as_text != LS_DR10.as_text


IMAGING = BandImaging(0.6, 1.2, 0.01, 3000.0, 22.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "two words"}, "survey two words: the name is not one word"),
        ({"bands": ()}, "it has no bands"),
        ({"bands": ("g", "r", "z band")}, "band 'z band' is not a word of letters and digits"),
        ({"bands": ("g", "r", "z", "G")}, "two bands have the same name, but for case"),
        ({"depth_band": "Y"}, "depth_band names 'Y'"),
        ({"picture_bands": ("z", "r", "b")}, "picture_bands names 'z, r, b'"),
        ({"colours": (("g", "r"), ("r", "i"))}, "colours names 'g, r, r, i'"),
        ({"imaging": {"g": IMAGING}}, "imaging leaves out a band"),
        ({"imaging": {"Y": IMAGING}}, "imaging names 'Y'"),
        (
            {"imaging": {**dict.fromkeys("gr", IMAGING), "z": dataclasses.replace(IMAGING, noise_nanomaggy=0.0)}},
            "imaging of z has a value of 0 or below",
        ),
        ({"pixel_scale_arcsec": 0.0}, "pixel_scale_arcsec must be above 0"),
        ({"cutout_size_px": 15}, "cutout_size_px must be at least 16"),
        ({"criteria": {}}, "it has no criteria"),
        ({"split_fractions": {"test": 0.15, "train": 0.7, "val": 0.15}}, "splits test, train, val"),
        ({"split_fractions": {"train": 0.8, "val": 0.15, "test": 0.15}}, "do not add up to 1"),
        ({"split_fractions": {"train": 1.0, "val": 0.0, "test": 0.0}}, "are not above 0"),
        ({"match_arcsec": -1.0}, "a radius is negative"),
        ({"confusers": {"bright": "flux_r >"}}, "'flux_r >' is not an expression"),
        ({"criteria": {"plan": {"mask": "bits(maskbits, 'BRIHGT') == 0"}}}, "no bit 'BRIHGT'"),
    ],
)
def test_a_survey_that_contradicts_itself_is_refused_in_a_sentence(changed, message):
    with pytest.raises(InputError) as error:
        dataclasses.replace(LS_DR10, **changed)
    assert message in str(error.value)
    assert error.value.fix


def test_a_column_comes_from_one_place():
    for wrong in ({}, {"column": "a", "constant": 3}, {"constant": 3, "unit": "mag"}):
        with pytest.raises(InputError):
            CatalogColumn(**wrong)


@pytest.mark.parametrize(
    "changed",
    [
        {"pixel_scale_arcsec": np.nan},
        {"match_arcsec": np.nan},
        {"merge_arcsec": np.nan},
        {"exclude_arcsec": np.nan},
        {"split_fractions": {"train": np.nan, "val": 0.15, "test": 0.15}},
        {"split_fractions": {"train": 0.7, "val": 0.15, "test": np.nan}},
        *({"imaging": {**LS_DR10.imaging, "z": BandImaging(*v)}} for v in np.where(np.eye(5), np.nan, 1.0).tolist()),
    ],
)
def test_a_survey_with_nan_is_refused(changed):
    with pytest.raises(InputError):
        dataclasses.replace(LS_DR10, **changed)


def test_a_survey_without_hosts_is_the_text_it_was_before_there_were_any():
    """Ids of steps are made of this text: with more in it, provenance of then would count as altered."""
    plain = dataclasses.replace(LS_DR10, name="plain", hosts={}, colour_redshift=ColourRedshift())
    assert not {"hosts", "colour_redshift"} & set(json.loads(plain.as_text))
    assert {"hosts", "colour_redshift"} <= set(json.loads(LS_DR10.as_text))
    for survey in (plain, dataclasses.replace(LS_DR10, name="full")):
        assert survey_of_text(survey.as_text, "here") == survey
