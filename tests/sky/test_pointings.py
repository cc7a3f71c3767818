"""A plan holds what was asked for, each window in a HEALPix pixel and a brick of its own, split 70/15/15."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.sky import pointings
from lensctl.sky.pointings import Size
from tests.toys.small_sky import SEED, SMALL, SMALLEST, example


def test_windows_lie_in_one_healpix_pixel_each_and_split_70_15_15(plan):
    assert [sum(p.split == name for p in plan) for name in split.SPLITS] == [14, 3, 3]
    assert len({p.healpix for p in plan}) == len({p.brick.id for p in plan}) == len(plan)
    for p in plan:
        assert split.split_of(p.healpix) == p.split
        far = p.size + 100  # 26 arcsec around: half a cutout and more
        x, y = np.meshgrid(np.linspace(-100, far, 30), np.linspace(-100, far, 30))
        ra, dec = p.wcs().all_pix2world(x.ravel(), y.ravel(), 0)
        assert (split.healpix(ra % 360, dec) == p.healpix).all()


def test_another_seed_is_another_sky(plan):
    assert [p.brick.id for p in pointings.plan(SEED + 1, SMALL)] != [p.brick.id for p in plan]


@pytest.mark.parametrize(
    "size", [Size(40, 0), Size(2000, 62), Size(5000, 100, window_px=400), Size(3000, 90, window_px=3400)]
)
def test_a_plan_holds_what_was_asked_for(size):
    plan = pointings.plan(3, size)
    assert sum(p.galaxies for p in plan) == size.galaxies
    assert sum(p.confident + p.probable for p in plan) == size.lenses
    assert all(p.confident >= 0 and p.probable >= 0 for p in plan)
    assert len(plan) % 20 == 0
    assert len({p.healpix for p in plan}) == len({p.brick.name for p in plan}) == len(plan)
    for name, share in LS_DR10.split_fractions.items():
        assert sum(p.split == name for p in plan) == round(share * len(plan))
        assert abs(sum(p.confident + p.probable for p in plan if p.split == name) - share * size.lenses) < 1
    assert len({p.dirt.missing_band for p in plan}) > 1
    assert any(p.dirt.unexposed_band for p in plan)
    assert any(p.dirt.nan_centres for p in plan)
    assert any(p.dirt.nan_edges for p in plan)


def test_no_two_windows_of_the_default_sky_share_a_brick():
    """Two HEALPix pixels may meet in one brick; galaxy_id, which names the brick, must stay unique."""
    plan = pointings.plan(42, Size(12_000, 372))
    assert len({p.brick.name for p in plan}) == len(plan) == 120


def test_whole_bricks_are_3600_px_and_lie_in_one_healpix_pixel():
    plan = pointings.plan(3, Size(4000, 60, full_bricks=True))
    assert {(p.size, p.x0, p.y0) for p in plan} == {(3600, 0, 0)}
    assert {p.split for p in plan} == set(split.SPLITS)


def test_more_lenses_than_a_third_of_the_galaxies_is_refused():
    with pytest.raises(InputError, match="are too many"):
        pointings.plan(1, Size(100, 50))


def test_windows_of_another_survey_split_as_it_says_and_keep_a_cutout_from_the_border(other):
    assert [sum(p.split == name for p in other.plan) for name in split.SPLITS] == {
        "my-griz": [14, 3, 3],
        "vis-yjh": [16, 2, 2],
    }[other.survey.name]
    away = other.survey.cutout_size_px
    for p in other.plan:
        assert split.split_of(p.healpix, other.survey.split_seed, other.survey.split_edges) == p.split
        x, y = np.meshgrid(np.linspace(-away, p.size + away, 20), np.linspace(-away, p.size + away, 20))
        ra, dec = p.wcs().all_pix2world(x.ravel(), y.ravel(), 0)
        assert (split.healpix(ra % 360, dec) == p.healpix).all()
        assert len(p.nobs) == len(p.psfsize) == len(p.sky) == len(p.gain) == len(other.survey.bands)


def test_lengths_are_those_of_the_default_survey_as_ever_and_follow_pixels_and_cutouts():
    lengths = (pointings.margin_px, pointings.clearance_px, pointings.least_window_px, pointings.psfsize_limits)
    assert [of(LS_DR10) for of in lengths] == [52, 110, 300, (1.0, 1.8)]
    survey = example("vis-yjh")
    assert [of(survey) for of in lengths[:2]] == [77, 160]
    coarse, fine = (of.pixel_scale_arcsec * pointings.least_window_px(of) for of in (LS_DR10, survey))
    assert 0.7 < coarse / fine < 1.3
    low, high = pointings.psfsize_limits(survey)
    assert low < 0.22 < 0.62 < high


def test_a_window_of_another_survey_has_as_much_sky_for_a_galaxy(other):
    size = Size(2000, 60)
    area = [
        np.mean([((p.size - 2 * pointings.margin_px(survey)) * survey.pixel_scale_arcsec) ** 2 for p in plan])
        for survey in (LS_DR10, other.survey)
        for plan in [pointings.plan(2, size, survey)]
    ]
    assert area[1] == pytest.approx(area[0], rel=0.15)


def test_each_split_has_a_window_however_small_its_share():
    rare = dataclasses.replace(LS_DR10, split_fractions={"train": 0.97, "val": 0.02, "test": 0.01})
    plan = pointings.plan(1, SMALLEST, rare)
    assert [sum(p.split == name for p in plan) for name in split.SPLITS] == [18, 1, 1]
    assert sum(p.confident + p.probable for p in plan) == SMALLEST.lenses


def test_whole_bricks_are_as_large_as_the_survey_says():
    survey = dataclasses.replace(LS_DR10, bricks=dataclasses.replace(LS_DR10.bricks, size_deg=0.1, side_px=1500))
    plan = pointings.plan(3, Size(6000, 20, full_bricks=True), survey)
    assert {(p.size, p.x0, p.y0) for p in plan} == {(1500, 0, 0)}
    assert {round(p.brick.dec2 - p.brick.dec1, 9) for p in plan} == {0.1}
    assert len(plan) == pytest.approx(6000 / (pointings.GALAXIES_PER_SQ_DEG * 0.1**2), abs=1)


def test_a_survey_that_does_not_say_what_its_imaging_is_like_is_refused():
    with pytest.raises(InputError, match="ls-dr10 does not say what its imaging is like") as refusal:
        pointings.plan(1, SMALLEST, dataclasses.replace(LS_DR10, imaging={}))
    assert "imaging" in refusal.value.fix


@pytest.mark.parametrize(("name", "side"), [("griz", 299), ("griz", 3601), ("vis-yjh", 667), ("vis-yjh", 9425)])
def test_a_window_too_small_for_cutouts_or_larger_than_a_brick_is_refused(name, side):
    survey = example(name)
    with pytest.raises(InputError, match=f"windows cannot have {side} px"):
        pointings.plan(1, Size(100, 3, window_px=side), survey)
