"""Positives: nearest object, one row per lens and per object, centred on the catalogue, nobody dropped silently."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.crossmatch import crossmatch, select
from lensctl.words.errors import InputError
from tests import toys


def catalog(rows):
    names = ("name", "ra", "dec", "grading", "ref")
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    kinds = (pa.string(), pa.float64(), pa.float64(), pa.string(), pa.string())
    return pa.table({n: pa.array(list(c), k) for n, c, k in zip(names, columns, kinds, strict=True)})


LISTED = [
    ("DESI-1", 150.0, 2.0, "probable", "Huang"),
    ("J150+02|DESI-1b", 150.0002, 2.0, "confident", "Stein"),  # the same lens, 0.7 arcsec away, better grade
    ("SDSS-9", 160.0, 2.0, "confident", "other"),  # not from the DESI searches
    ("DESI-2", 151.0, 3.0, "confident", "Huang"),
    ("DESI-3", 152.0, 3.0, "C", "Huang"),  # no tier
    ("DESI-4", 10.0, -40.0, "probable", "Huang"),  # nothing catalogued there
]


def test_selection_keeps_desi_names_and_merges_duplicates_with_the_best_grade():
    lenses = select(catalog(LISTED))
    assert (lenses.selected, lenses.merged, lenses.ungraded) == (5, 1, 1)
    assert lenses.rows.select(["names", "tier", "ra", "ref"]).to_pylist() == [
        {"names": "DESI-1|J150+02|DESI-1b", "tier": "A", "ra": 150.0002, "ref": "Stein"},
        {"names": "DESI-2", "tier": "A", "ra": 151.0, "ref": "Huang"},
        {"names": "DESI-4", "tier": "B", "ra": 10.0, "ref": "Huang"},
    ]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (LISTED, {"name_contains": "XYZ"}, "no row of the lens catalogue has a name with 'XYZ'"),
        ([LISTED[4]], {}, "no row of the lens catalogue is graded"),
    ],
)
def test_a_selection_of_nothing_is_an_error(rows, options, message):
    with pytest.raises(InputError, match=message):
        select(catalog(rows), **options)


@pytest.fixture
def objects(tmp_path):
    """Two files of objects; the lens DESI-2 has one at 1 arcsec in each file, the nearer in the second."""
    raw = toys.rows(100, ra=150.0, dec=2.0)
    ra, dec = raw["ra"].to_pylist(), raw["dec"].to_pylist()
    ra[:3], dec[:3] = (150.0002, 151.0, 155.0), (2.0 + 0.5 / 3600, 3.0 + 2.0 / 3600, 5.5)
    first = raw.set_column(3, "ra", pa.array(ra)).set_column(4, "dec", pa.array(dec))
    ra[:3], dec[:3] = (140.0, 151.0, 155.1), (2.0, 3.0 + 1.0 / 3600, 5.5)
    second = (
        raw.set_column(0, "brickname", pa.array(["1600p020"] * 100))
        .set_column(3, "ra", pa.array(ra))
        .set_column(4, "dec", pa.array(dec))
    )
    return [str(toys.write_fits(t, tmp_path / n)) for t, n in ((first, "a.fits"), (second, "b.fits"))]


def test_the_nearest_object_of_all_files_wins_and_centres_the_cutout(objects):
    matched = crossmatch(select(catalog(LISTED)).rows, objects)
    by_name = {row["names"]: row for row in matched.positives.to_pylist()}
    assert by_name["DESI-2"]["brickname"] == "1600p020"
    assert by_name["DESI-2"]["sep_arcsec"] == pytest.approx(1.0, abs=1e-3)
    assert (by_name["DESI-2"]["dec"], by_name["DESI-2"]["lens_dec"]) == (pytest.approx(3.0 + 1 / 3600), 3.0)
    assert by_name["DESI-1|J150+02|DESI-1b"]["sample_weight"] == 1.0
    ids = matched.positives["galaxy_id"].to_pylist()
    assert ids == sorted(ids)


def test_the_unmatched_are_listed_with_the_reason(objects):
    far = [*LISTED, ("DESI-5", 155.0, 5.5 + 20 / 3600, "probable", "x")]
    matched = crossmatch(select(catalog(far)).rows, objects)
    reasons = dict(zip(matched.unmatched["name"].to_pylist(), matched.unmatched["reason"].to_pylist(), strict=True))
    assert reasons == {
        "DESI-4": "outside the footprint of the files given",
        "DESI-5": "nearest object at 20.0 arcsec, beyond 5",
    }


def test_two_lenses_of_one_object_are_one_positive_with_both_names(objects):
    two = [("DESI-2", 151.0, 3.0, "probable", "x"), ("DESI-2b", 151.0, 3.0 + 4 / 3600, "confident", "y")]
    matched = crossmatch(select(catalog(two)).rows, objects[1:])
    assert matched.shared == 1
    assert matched.positives.select(["names", "tier"]).to_pylist() == [{"names": "DESI-2|DESI-2b", "tier": "A"}]


def test_matches_across_the_meridian(tmp_path):
    raw = toys.rows(10)
    path = toys.write_fits(
        raw.set_column(3, "ra", pa.array(np.full(10, 359.9999))).set_column(4, "dec", pa.array(np.arange(10.0))),
        tmp_path / "a.fits",
    )
    matched = crossmatch(select(catalog([("DESI-0", 0.0001, 3.0, "probable", "x")])).rows, [str(path)])
    assert matched.positives["sep_arcsec"][0].as_py() == pytest.approx(0.72, abs=0.01)


def test_positives_without_a_negative_stratum_are_flagged_not_dropped(objects, tmp_path):
    raw = toys.rows(1)
    raw = raw.set_column(2, "type", pa.array(["PSF"]))
    path = toys.write_fits(raw, tmp_path / "c.fits")
    place = (raw["ra"][0].as_py(), raw["dec"][0].as_py())
    matched = crossmatch(select(catalog([("DESI-0", *place, "probable", "x")])).rows, [str(path)])
    assert matched.positives.select(["type", "unstratified"]).to_pylist() == [{"type": "PSF", "unstratified": True}]


def test_what_cannot_be_is_an_error(objects):
    lenses = select(catalog(LISTED)).rows
    with pytest.raises(InputError, match="tier_b_weight is 0.9"):
        crossmatch(lenses, objects, tier_b_weight=0.9)
    with pytest.raises(InputError, match="no lens lies within"):
        crossmatch(select(catalog([LISTED[5]])).rows, objects)
