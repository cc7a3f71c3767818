"""Known lenses: merged, named, found or missed and why, and their recall by tier."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lensctl.astro.sky_area import Area
from lensctl.rules.split import healpix
from lensctl.search import known
from lensctl.search.known import Sightings, fates, known_of, named, recall

ARCSEC = 1 / 3600


def catalog(*rows: tuple[str | None, float, float, str | None, str | None]) -> pa.Table:
    names = ("name", "ra", "dec", "grading", "ref")
    kinds = (pa.string(), pa.float64(), pa.float64(), pa.string(), pa.string())
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    return pa.table({n: pa.array(list(c), k) for n, c, k in zip(names, columns, kinds, strict=True)})


def test_duplicates_are_one_lens_of_the_best_grade_and_non_lenses_are_none():
    found = known_of(
        catalog(
            ("one", 10.0, 0.0, "probable", "p1"),
            ("two", 10.0 + ARCSEC, 0.0, "A", "p2"),
            ("no", 20.0, 0.0, "not", "p1"),
            (None, 30.0, 0.0, None, None),
            ("three|one", 10.0, ARCSEC, "c", "p1"),
        ),
        merge_arcsec=3.0,
    )
    assert found.names == ("one|two|three", "")
    assert found.tiers == ("A", "")
    assert found.refs == ("p1|p2", "")
    assert found.ra.tolist() == [10.0 + ARCSEC, 30.0]
    assert len(known_of(catalog(), 3.0)) == 0


LENSES = known_of(
    catalog(
        ("listed", 10.0, 0.0, "A", "p"),
        ("below", 11.0, 0.0, "A", "p"),
        ("half", 12.0, 0.0, "B", "p"),
        ("bare", 13.0, 0.0, "B", "p"),
        ("far", 80.0, 40.0, "A", "p"),
    ),
    3.0,
)


def rows(*places: tuple[float, float | None, str]) -> pa.Table:
    ra, logit, status = zip(*places, strict=True)
    return pa.table({"ra": ra, "dec": [0.0] * len(ra), "logit": pa.array(logit, pa.float64()), "status": status})


def area(*ra: float) -> Area:
    return Area(8, np.unique(healpix(np.array(ra), np.zeros(len(ra)), 256)), np.zeros(0, np.int64))


def candidates(*places: tuple[float, int]) -> pa.Table:
    ra, rank = zip(*places, strict=True)
    return pa.table({"ra": ra, "dec": [0.0] * len(ra), "rank": pa.array(rank, pa.int64())})


def of_all() -> pa.Table:
    seen = Sightings(LENSES, 5.0)
    seen.add(rows((10.0 + 2 * ARCSEC, 4.0, "ok"), (10.0 + 4 * ARCSEC, 1.0, "ok"), (11.0, -2.0, "ok")))
    seen.add(rows((11.0 + 6 * ARCSEC, 9.0, "ok"), (12.0, None, "half_empty"), (50.0, 1.0, "ok")))
    listed = candidates((10.0 + 4 * ARCSEC, 7), (10.0 + 2 * ARCSEC, 2), (50.0, 1))
    return fates(seen, listed, area(10.0, 11.0, 12.0, 13.0), 5.0)


def test_each_lens_is_found_or_missed_for_a_reason():
    found = of_all().to_pylist()
    assert [row["fate"] for row in found] == [known.LISTED, known.BELOW, known.UNSCORED, known.NO_ROW, known.OUTSIDE]
    assert [row["rank"] for row in found] == [2, None, None, None, None]
    assert [row["logit"] for row in found] == [4.0, -2.0, None, None, None]
    assert found[2]["status"] == "half_empty"
    assert [row["in_searched_area"] for row in found] == [True, True, True, True, False]


def test_recall_counts_every_lens_in_the_searched_area_and_no_other():
    figures = recall(of_all(), np.array([True, False, True, True, True]), {"p=0.5": 0.0, "low": -3.0})
    by = {(row["tier"], row["lenses"], row["at"]): (row["events"], row["n"]) for row in figures}
    assert by["A", "all", "the list"] == (1, 2)
    assert by["A", "all", "low"] == (2, 2)
    assert by["A", "unseen", "p=0.5"] == (1, 1)
    assert by["B", "all", "low"] == (0, 2)  # without a score, and without a row: missed
    assert all("fewer than 10" in row["why"] for row in figures if row["n"])


def test_recall_in_many_pixels_has_an_interval():
    ra = np.linspace(0, 300, 60)
    lenses = known_of(catalog(*((f"L{k}", float(x), 0.0, "A", "p") for k, x in enumerate(ra))), 3.0)
    seen = Sightings(lenses, 5.0)
    seen.add(rows(*((float(x), 1.0 if k % 3 else -1.0, "ok") for k, x in enumerate(ra))))
    found = fates(seen, candidates((999 % 360, 1)), area(*ra), 5.0)
    share = next(r for r in recall(found, np.ones(60, bool), {"p=0.5": 0.0}) if r["at"] == "p=0.5" and r["tier"] == "A")
    assert share["value"] == 40 / 60
    assert share["low"] < 40 / 60 < share["high"]


def test_a_candidate_has_the_name_of_the_nearest_lens():
    lenses = known_of(catalog(("near", 10.0, 0.0, "A", "p"), ("nearer", 10.0 + 4 * ARCSEC, 0.0, None, None)), 3.0)
    found = named(candidates((10.0 + 3 * ARCSEC, 1), (40.0, 2)), lenses, 5.0)
    assert found[0]["known_lens"] == "nearer"
    assert abs(found[0]["known_sep_arcsec"] - 1.0) < 1e-6
    assert found[0]["known_tier"] is None
    assert set(found[1].values()) == {None}
