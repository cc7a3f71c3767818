"""How much sky was searched, by where rows are."""

from __future__ import annotations

import healpy
import numpy as np
import pytest

from lensctl.astro import sky_area
from lensctl.astro.sky_area import Area, CellCounts
from lensctl.rules.split import healpix

SIDE = 10.0


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions spread evenly over a square of SIDE degrees at the equator."""
    random = np.random.default_rng(seed)
    return random.uniform(30, 30 + SIDE, count), random.uniform(-SIDE / 2, SIDE / 2, count)


def counted(ra: np.ndarray, dec: np.ndarray, scored: np.ndarray, parts: int = 1) -> Area:
    cells = CellCounts(len(ra))
    for part in np.array_split(np.arange(len(ra)), parts):
        cells.add(healpix(ra[part], dec[part], 2**29), scored[part])
    return cells.area()


@pytest.mark.parametrize("count", [2_000, 20_000, 200_000])
def test_the_area_lies_between_that_with_and_without_edges(count):
    ra, dec = rows(count)
    area = counted(ra, dec, np.ones(count, bool))
    true = SIDE**2 * np.sinc(np.radians(SIDE) / 2 / np.pi)  # of a band about the equator
    assert area.inner_deg2 < true < area.searched_deg2
    assert area.inner_deg2 > true * (1 - 6 * np.sqrt(area.cell_deg2) / SIDE)


def test_cells_hold_ten_rows_each_on_average_and_no_smaller_ones_do():
    ra, dec = rows(50_000)
    area = counted(ra, dec, np.ones(len(ra), bool))
    assert len(ra) / len(area.searched) >= 10
    finer = healpix(ra, dec, 2 ** (area.order + 1))
    assert len(ra) / len(np.unique(finer)) < 10


def test_a_cell_is_lost_if_all_its_rows_are():
    ra, dec = rows(20_000)
    scored = ~((ra > 33) & (ra < 36))
    area = counted(ra, dec, scored)
    whole = counted(ra, dec, np.ones(len(ra), bool))
    assert not set(area.searched) & set(area.lost)
    assert set(area.searched) | set(area.lost) == set(whole.searched)
    in_lost = np.isin(healpix(ra, dec, 2**area.order), area.lost)
    assert not scored[in_lost].any()
    assert area.holds(ra[scored], dec[scored]).all()
    assert area.holds([34.5, 31.0, 200.0], [0.0, 0.0, 0.0]).tolist() == [False, True, False]


def test_the_parts_do_not_matter():
    ra, dec = rows(5_000)
    scored = np.random.default_rng(1).random(len(ra)) < 0.5
    one, many = counted(ra, dec, scored), counted(ra, dec, scored, parts=7)
    assert one.order == many.order
    assert one.searched.tolist() == many.searched.tolist()
    assert one.lost.tolist() == many.lost.tolist()


def test_few_rows_make_large_cells_and_many_rows_none_too_small(monkeypatch):
    few = counted(*rows(3), np.array([True, False, True]))
    assert few.order == sky_area.LARGEST_ORDER
    monkeypatch.setattr(sky_area, "MANY_ROWS", (10, 20))
    assert [CellCounts(n).order for n in (5, 15, 25)] == [12, 11, 10]
    assert pytest.approx(41252.96, abs=0.01) == sky_area.SKY_DEG2
    assert few.cell_deg2 == pytest.approx(healpy.nside2pixarea(2**few.order, degrees=True))


def test_nothing_scored_is_no_area():
    area = counted(*rows(50), np.zeros(50, bool))
    assert (area.searched_deg2, area.inner_deg2) == (0.0, 0.0)
    assert area.as_dict()["lost_deg2"] > 0
