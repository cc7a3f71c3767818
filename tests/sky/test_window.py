"""Objects of a window have room for a cutout, a place in their brick and an id; only lenses have lens facts."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.rules.survey import LS_DR10
from lensctl.sky import bricks, lenses, window
from tests.toys.small_sky import plane


def test_every_object_has_room_for_a_cutout_and_lies_in_its_brick(plan, tractor):
    side = {p.brick.id: p.size for p in plan}
    edge = np.array([side[i] for i in tractor["brickid"]]) - 1
    for name in ("bx", "by"):
        assert tractor[name].min() > 50.5
        assert (tractor[name] < edge - 50.5).all()
    for ra, dec, name in zip(tractor["ra"], tractor["dec"], tractor["brickname"], strict=True):
        assert bricks.brick_at(ra, dec, LS_DR10.bricks.size_deg).name == name
    assert tractor["brick_primary"].all()


def test_ids_are_unique_and_contiguous_within_a_brick(tractor):
    for brick in np.unique(tractor["brickid"]):
        ids = tractor["objid"][tractor["brickid"] == brick]
        assert ids.tolist() == list(range(len(ids)))


def test_only_lenses_have_lens_parameters(truth):
    for name in window.lens_facts(LS_DR10):
        known = truth[name].is_valid().to_numpy(zero_copy_only=False)
        assert (known == truth["is_lens"].to_numpy(zero_copy_only=False)).all()
    theta_e = truth["theta_e"].drop_null().to_numpy()
    assert lenses.EINSTEIN_RANGE_ARCSEC[0] <= theta_e.min() <= theta_e.max() <= lenses.EINSTEIN_RANGE_ARCSEC[1]


def test_every_object_of_another_survey_has_room_for_a_cutout_and_lies_in_its_brick(other):
    half, tractor = other.survey.cutout_size_px / 2, other.tractor
    side = {p.brick.id: p.size for p in other.plan}
    edge = np.array([side[i] for i in tractor["brickid"]]) - 1
    for name in ("bx", "by"):
        assert tractor[name].min() > half
        assert (tractor[name] < edge - half).all()
    for row in tractor:
        assert bricks.brick_at(row["ra"], row["dec"], other.survey.bricks.size_deg).name == row["brickname"].strip()


def test_lenses_of_another_survey_have_their_light_in_each_of_its_bands(other):
    truth = other.truth
    for band in other.survey.bands:
        for name in (f"source_flux_{band}", f"absorbed_flux_{band}"):
            known = truth[name].is_valid().to_numpy(zero_copy_only=False)
            assert (known == truth["is_lens"].to_numpy(zero_copy_only=False)).all()


def test_the_light_of_an_object_in_the_images_is_that_in_the_truth(other):
    """Sums of pixels around small galaxies and stars, in each band, against their true fluxes."""
    truth, scale = other.truth.to_pandas(), other.survey.pixel_scale_arcsec
    reach = round(2.6 / scale)
    small = truth[~truth["is_lens"] & (truth["kind"] != "pair") & (truth["r_half"] < 1.0) & (truth["n"] < 2.5)]
    for band in other.survey.bands:
        ratios: dict[bool, list[float]] = {True: [], False: []}
        for p in other.plan:
            if p.dirt.missing_band == band or p.dirt.bright_star:
                continue
            image = plane(other.root, p, "image", band)
            y, x = np.mgrid[: p.size, : p.size]
            for row in small[small["brickname"] == p.brick.name].itertuples():
                near = np.hypot(x - row.x, y - row.y) <= reach
                ratios[row.kind == "star"].append(image[near].sum() / getattr(row, f"flux_{band}"))
        assert len(ratios[False]) > 10
        assert len(ratios[True]) > 2
        for found in ratios.values():
            assert np.nanmedian(found) == pytest.approx(1.0, abs=0.12), band
