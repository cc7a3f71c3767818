"""The default sky's galaxies, PSF and depth are in the plan's proportions, and lenses have galaxies like them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from lensctl.rules import split
from lensctl.rules.derived import confuser_category, magnitudes
from lensctl.rules.strata import NOBS_BINS, nobs_bin
from lensctl.rules.survey import LS_DR10, Survey
from lensctl.sky import dirt, measure, mock, places, pointings, window
from lensctl.sky.objects import population
from lensctl.sky.pointings import Size, generator
from tests.toys.small_sky import example


def drawn(survey: Survey, galaxies: int) -> dict[str, np.ndarray]:
    """Catalogue of a sky, drawn without its pixels (and so without what arcs add to lenses)."""
    parts, bands = [], len(survey.bands)
    for p in pointings.plan(42, Size(galaxies, round(mock.LENS_SHARE * galaxies)), survey):
        rng = generator(42, p.index)
        objects, kind, types = population.galaxies(rng, p.galaxies, survey, p.style, p.host_types)
        x, y = places.places(rng, p, len(kind), objects["central"].astype(int))
        blank = np.zeros((bands, p.size, p.size), np.float32)
        planes = dirt.Planes(blank, blank, dirt.exposures(rng, p), np.zeros((p.size, p.size), np.int32))
        fitted = measure.mistype(rng, types, kind)
        columns_ = measure.measure(rng, p, {**objects, "x": x, "y": y}, fitted, planes, window.psfs_of(rng, p))
        is_lens = np.arange(len(kind)) < p.confident + p.probable
        more = {"split": np.full(len(kind), p.split), "kind": kind, "is_lens": is_lens}
        parts.append({**{name: v for name, v in columns_.items() if v.ndim == 1}, **more})
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table |= magnitudes(table.__getitem__, table, survey)
    table["category"] = confuser_category(table, survey)
    table["bin"] = nobs_bin(table[survey.depth("nobs")])
    table["usable"] = np.isin(table["type"], survey.strata["type"]) & (table[survey.depth("nobs")] >= 3)
    for nobs in survey.per_band("nobs"):
        table["usable"] &= table[nobs] >= 1
    return table


@pytest.fixture(scope="module")
def catalogue() -> dict[str, np.ndarray]:
    """That of the default sky."""
    return drawn(LS_DR10, 18_000)


@pytest.mark.parametrize("name", ["griz", "vis-yjh"])
def test_surveys_of_the_examples_have_all_their_confusers_in_about_a_fifth_of_the_pool(name):
    survey = example(name)
    table = drawn(survey, 4000)
    found = table["category"][table["usable"] & ~table["is_lens"]]
    assert 0.15 < np.mean([category is not None for category in found]) < 0.25
    for category in survey.confusers:
        assert (found == category).sum() > 40, category


def test_confusers_are_15_to_25_percent_of_the_pool_in_each_split(catalogue):
    pool = catalogue["usable"] & ~catalogue["is_lens"]
    is_n2 = np.array([category is not None for category in catalogue["category"]])
    for name in split.SPLITS:
        assert 0.16 < is_n2[pool & (catalogue["split"] == name)].mean() < 0.25
    for category in LS_DR10.confusers:
        assert (catalogue["category"][pool] == category).sum() > 100, category


def test_every_class_splits_70_15_15(catalogue):
    for rows in (catalogue["usable"] & ~catalogue["is_lens"], catalogue["usable"] & catalogue["is_lens"]):
        shares = [(catalogue["split"][rows] == name).mean() for name in split.SPLITS]
        assert 0.66 < shares[0] < 0.74
        assert 0.125 < shares[1] < 0.175
        assert 0.125 < shares[2] < 0.175


def test_strata_with_lenses_have_negatives_enough_for_fifteen_each(catalogue):
    pool, lens = catalogue["usable"] & ~catalogue["is_lens"], catalogue["usable"] & catalogue["is_lens"]
    for kind in LS_DR10.strata["type"]:
        for nobs in NOBS_BINS[1:]:
            here = (catalogue["type"] == kind) & (catalogue["bin"] == nobs)
            assert (pool & here).sum() >= 15 * (lens & here).sum(), (kind, nobs)
        assert (lens & (catalogue["type"] == kind)).sum() > 20


def test_exposures_are_in_about_the_plans_proportions_with_a_few_too_shallow(catalogue):
    share = {name: (catalogue["bin"] == name).mean() for name in NOBS_BINS}
    assert 0.02 < share["1-2"] < 0.10
    assert share["3-5"] == pytest.approx(0.65, abs=0.06)
    assert share["6-10"] == pytest.approx(0.235, abs=0.05)
    assert share["11+"] == pytest.approx(0.055, abs=0.03)


def test_lenses_of_every_look_have_galaxies_like_them_that_are_none(catalogue):
    names = ("mag_z", "g_minus_r", "r_minus_z")
    unit = np.array([0.3, 0.2, 0.2])
    look = np.stack([catalogue[name] for name in names], axis=1) / unit
    pool, found = catalogue["usable"] & ~catalogue["is_lens"], []
    for i in np.flatnonzero(catalogue["usable"] & catalogue["is_lens"]):
        alike = pool & (catalogue["type"] == catalogue["type"][i]) & (np.abs(look - look[i]) <= 1).all(axis=1)
        found.append(alike.sum())
    assert np.mean(np.array(found) >= 5) > 0.95


def test_psf_and_depth_are_the_surveys(catalogue):
    for band in "grz":
        seeing = catalogue[f"psfsize_{band}"][catalogue[f"nobs_{band}"] > 0]
        assert 0.95 < seeing.min() < seeing.max() < 1.87
    depth = 22.5 - 2.5 * np.log10(5 / np.sqrt(catalogue["psfdepth_r"][catalogue["nobs_r"] >= 3]))
    assert 23.8 < np.median(depth) < 25.0
    assert catalogue["mag_z"][np.isfinite(catalogue["mag_z"])].max() < 22.3


def test_the_test_split_has_three_hundred_hosts_for_injection(catalogue):
    """Early-type galaxies that could be lenses, 30 arcsec from every lens; a few are lost to bright stars."""
    c = catalogue
    with np.errstate(invalid="ignore"):
        host = (c["type"] == "DEV") | ((c["type"] == "SER") & (c["sersic"] >= 2.5))
        host &= (c["mag_z"] >= 17.0) & (c["mag_z"] <= 20.4) & (c["g_minus_r"] >= 0.9) & (c["r_minus_z"] >= 0.5)
    host &= (c["nobs_g"] >= 1) & (c["nobs_r"] >= 1) & (c["nobs_z"] >= 3) & (c["split"] == "test")
    at = SkyCoord(c["ra"], c["dec"], unit="deg")
    away = at.match_to_catalog_sky(at[c["is_lens"]])[1].arcsec > 30
    assert (host & away).sum() > 315


def test_members_of_a_group_have_its_redshift_and_a_brighter_centre_whether_lens_or_not():
    objects, kind, _ = population.galaxies(generator(3), 4000, LS_DR10, hosts=["DEV"] * 400)
    central = objects["central"].astype(int)
    member = central >= 0
    assert (kind[member] == "early").all()
    assert (central[central[member]] == -1).all()
    assert (objects["mag_z"][central[member]] <= objects["mag_z"][member]).all()
    assert objects["redshift"][central[member]] == pytest.approx(objects["redshift"][member])
    assert member[kind == "early"].mean() == pytest.approx(population.MEMBER_SHARE, abs=0.03)
    bright = (kind == "early") & (objects["mag_z"] < population.HOST_FAINTEST_MAG_Z)
    lens = np.arange(4000) < 400
    assert member[lens].mean() == pytest.approx(member[bright & ~lens].mean(), abs=0.08)
