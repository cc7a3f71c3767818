"""A plan holds what was asked for, each window in a HEALPix pixel and a brick of its own, split 70/15/15."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.sky import pointings
from lensctl.sky.pointings import Size
from tests.toys.small_sky import SEED, SMALL


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
