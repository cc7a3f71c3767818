"""Positives: nearest object, one row per lens and per object, centred on the catalogue, nobody dropped silently."""

from __future__ import annotations

import json
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa
import pytest

from lensctl.astro import geometry
from lensctl.crossmatch.candidates import select
from lensctl.crossmatch.matching import _reasons, match, summary
from lensctl.io.storage import s3
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys
from tests.toys.surveys import INFRARED


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


@pytest.mark.parametrize("spelled", [str.upper, str.capitalize, str.lower, " {} ".format])
def test_a_grade_is_the_same_in_any_case(spelled):
    rows = [(name, ra, dec, spelled(grade), ref) for name, ra, dec, grade, ref in LISTED]
    found, wanted = select(catalog(rows)), select(catalog(LISTED))
    assert found.rows.drop_columns("grading").equals(wanted.rows.drop_columns("grading"))
    assert (found.selected, found.merged, found.ungraded) == (wanted.selected, wanted.merged, wanted.ungraded)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (LISTED, {"name_contains": "XYZ"}, "no name in the lens catalogue contains 'XYZ'"),
        ([LISTED[4]], {}, r"no row of the lens catalogue is graded .*\(found: C\)"),
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
    first = toys.in_bricks(raw.set_column(3, "ra", pa.array(ra)).set_column(4, "dec", pa.array(dec)))
    ra[:3], dec[:3] = (140.0, 151.0, 155.1), (2.0, 3.0 + 1.0 / 3600, 5.5)
    second = (
        raw.set_column(0, "brickname", pa.array(["second"] * 100))
        .set_column(3, "ra", pa.array(ra))
        .set_column(4, "dec", pa.array(dec))
    )
    return [str(toys.write_fits(t, tmp_path / n)) for t, n in ((first, "a.fits"), (second, "b.fits"))]


def test_the_nearest_object_of_all_files_wins_and_centres_the_cutout(objects):
    matched = match(select(catalog(LISTED)).rows, objects)
    by_name = {row["names"]: row for row in matched.positives.to_pylist()}
    assert by_name["DESI-2"]["brickname"] == "second"
    assert by_name["DESI-2"]["sep_arcsec"] == pytest.approx(1.0, abs=1e-3)
    assert (by_name["DESI-2"]["dec"], by_name["DESI-2"]["lens_dec"]) == (pytest.approx(3.0 + 1 / 3600), 3.0)
    assert by_name["DESI-1|J150+02|DESI-1b"]["sample_weight"] == 1.0
    ids = matched.positives["galaxy_id"].to_pylist()
    assert ids == sorted(ids)


def test_the_unmatched_are_listed_with_the_reason(objects):
    far = [*LISTED, ("DESI-5", 155.0, 5.5 + 20 / 3600, "probable", "x")]
    matched = match(select(catalog(far)).rows, objects)
    reasons = dict(zip(matched.unmatched["name"].to_pylist(), matched.unmatched["reason"].to_pylist(), strict=True))
    assert reasons == {
        "DESI-2": "nobs_z bin 1-2 has no stratum",
        "DESI-4": "outside the footprint of the files given",
        "DESI-5": "nearest object at 20.0 arcsec, beyond 5",
    }
    assert matched.unmatched.select(["name", "galaxy_id"]).to_pylist()[0] == {
        "name": "DESI-2",
        "galaxy_id": "second_1",
    }
    assert matched.unmatched["sep_arcsec"].to_pylist() == pytest.approx([1.0, None, 20.0], abs=0.01)


def test_two_lenses_of_one_object_are_one_positive_with_both_names(objects):
    two = [("DESI-2", 151.0, 3.0, "probable", "x"), ("DESI-2b", 151.0, 3.0 + 4 / 3600, "confident", "y")]
    matched = match(select(catalog(two)).rows, objects[1:])
    assert matched.shared == 1
    assert matched.positives.select(["names", "tier"]).to_pylist() == [{"names": "DESI-2|DESI-2b", "tier": "A"}]


def test_matches_across_the_meridian(tmp_path):
    raw = toys.rows(10)
    path = toys.write_fits(
        toys.in_bricks(
            raw.set_column(3, "ra", pa.array(np.full(10, 359.9999))).set_column(4, "dec", pa.array(np.arange(10.0)))
        ),
        tmp_path / "a.fits",
    )
    matched = match(select(catalog([("DESI-0", 0.0001, 3.0, "probable", "x")])).rows, [str(path)])
    assert matched.positives["sep_arcsec"][0].as_py() == pytest.approx(0.72, abs=0.01)


def test_positives_without_a_negative_stratum_are_flagged_not_dropped(objects, tmp_path):
    raw = toys.rows(1)
    raw = raw.set_column(2, "type", pa.array(["PSF"]))
    path = toys.write_fits(raw, tmp_path / "c.fits")
    place = (raw["ra"][0].as_py(), raw["dec"][0].as_py())
    matched = match(select(catalog([("DESI-0", *place, "probable", "x")])).rows, [str(path)])
    assert matched.positives.select(["type", "unstratified"]).to_pylist() == [{"type": "PSF", "unstratified": True}]


def test_every_lens_that_gives_no_stratified_positive_is_listed_with_the_reason(tmp_path):
    raw = toys.rows(5)
    raw = raw.set_column(2, "type", pa.array(["PSF", "EXP", "SER", "SER", "DUP"]))
    nobs = raw.column_names.index("nobs_z")
    raw = raw.set_column(nobs, "nobs_z", pa.array([5, 5, 2, 5, 0], pa.int16()))
    path = str(toys.write_fits(raw, tmp_path / "c.fits"))
    places = list(zip(raw["ra"].to_pylist(), raw["dec"].to_pylist(), strict=True))
    rows = [(f"DESI-{i}", *place, "probable", "x") for i, place in enumerate(places)]
    rows.append(("DESI-0b", places[0][0], places[0][1] + 4 / 3600, "probable", "x"))  # another lens of the same object
    matched = match(select(catalog(rows)).rows, [path])
    by_name = matched.positives.sort_by("names")
    assert by_name["unstratified"].to_pylist() == [True, True, True, False, True]
    reasons = zip(matched.unmatched["name"].to_pylist(), matched.unmatched["reason"].to_pylist(), strict=True)
    assert sorted(reasons) == [
        ("DESI-0", "type PSF has no stratum"),
        ("DESI-0b", "type PSF has no stratum"),
        ("DESI-1", "type EXP has no stratum"),
        ("DESI-2", "nobs_z bin 1-2 has no stratum"),
        ("DESI-4", "type DUP has no stratum"),
    ]


def test_a_catalogue_in_any_format_gives_the_same_positives_with_any_number_of_workers(objects, tmp_path, lensctl):
    listed = catalog(LISTED)
    write_table(listed, str(tmp_path / "l.csv"))
    write_table(listed, str(tmp_path / "l.parquet"))
    columns = {name: listed[name].to_numpy(zero_copy_only=False) for name in listed.column_names}
    columns = {name: v.astype("S20") if v.dtype == object else v for name, v in columns.items()}
    columns["grade"] = columns.pop("grading")
    fitsio.write(str(tmp_path / "l.fits"), list(columns.values()), names=list(columns))
    found = []
    for i, name in enumerate(("l.csv", "l.parquet", "l.fits")):
        options = ("--workers", 1 + i % 2, "--unmatched", f"{i}-left.csv")
        done = lensctl("crossmatch", name, *objects, f"{i}.parquet", *options)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["unmatched"] == 1
        left = read_table(str(tmp_path / f"{i}-left.csv"))["reason"].to_pylist()
        assert left == ["nobs_z bin 1-2 has no stratum", "outside the footprint of the files given"]
        found.append(read_table(str(tmp_path / f"{i}.parquet")).replace_schema_metadata())
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_the_nearest_is_found_as_by_looking_at_all_objects(tmp_path):
    random = np.random.default_rng(7)
    raw = toys.rows(4000, width_deg=0.5)
    path = str(toys.write_fits(raw, tmp_path / "a.fits"))
    ra, dec = 150 + random.uniform(-0.05, 0.55, 300), 2 + random.uniform(-0.05, 0.55, 300)
    lenses = select(catalog([(f"DESI-{i}", ra[i], dec[i], "A", "x") for i in range(300)]), merge_arcsec=0)
    matched = match(lenses.rows, [path], radius_arcsec=15.0)
    index, separation = geometry.nearest(ra, dec, raw["ra"].to_numpy(), raw["dec"].to_numpy())
    near = separation <= 15
    ids = {f"{raw['brickname'][int(i)]}_{raw['objid'][int(i)]}" for i in index[near]}
    assert set(matched.positives["galaxy_id"].to_pylist()) == ids
    assert matched.shared == near.sum() - len(ids)
    outside = matched.unmatched["reason"].to_pylist().count("outside the footprint of the files given")
    assert outside == (separation > 60).sum() > 0


def test_from_s3_and_what_s3_refuses(objects, tmp_path, bucket, lensctl, monkeypatch):
    for path in objects:
        s3.upload(Path(path), f"s3://{bucket}/tractor/{Path(path).name}")
    write_table(catalog(LISTED), f"s3://{bucket}/lenses.csv")
    here = ("crossmatch", f"s3://{bucket}/lenses.csv", f"s3://{bucket}/tractor/*.fits")
    assert lensctl(*here, f"s3://{bucket}/positives.parquet", "--workers", 1).returncode == 0
    assert lensctl(*here[:2], *objects, "positives.parquet").returncode == 0
    assert s3.read_object(f"s3://{bucket}/positives.parquet") == (tmp_path / "positives.parquet").read_bytes()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = lensctl(*here, "others.parquet")
    assert (refused.returncode, "S3 says" in refused.stderr) == (2, True)
    assert not (tmp_path / "others.parquet").exists()


def test_a_missing_column_of_a_catalogue_is_named_with_the_nearest(objects, tmp_path, lensctl):
    (tmp_path / "l.csv").write_text("name,raa,dec,grade\nDESI-1,150.0,2.0,A\n")
    done = lensctl("crossmatch", "l.csv", *objects, "positives.parquet")
    assert done.returncode == 2
    assert "l.csv: column 'ra' is missing (did you mean 'raa'?)" in done.stderr


def test_what_cannot_be_is_an_error(objects):
    lenses = select(catalog(LISTED)).rows
    with pytest.raises(InputError, match="tier_b_weight is 0.9"):
        match(lenses, objects, tier_b_weight=0.9)
    with pytest.raises(InputError, match="no lens lies within"):
        match(select(catalog([LISTED[5]])).rows, objects)


def test_the_strata_are_those_of_the_survey():
    rows = pa.table({"type": ["SER", "EXP", "SER", None], "nobs_H_bin": ["3-5", "3-5", "1-2", None], "tier": ["A"] * 4})
    assert _reasons(rows, INFRARED) == [
        None,
        "type EXP has no stratum",
        "nobs_H bin 1-2 has no stratum",
        "type unknown has no stratum",
    ]
    assert _reasons(rows.select(["tier"]), INFRARED) == [None] * 4
    assert summary(rows, INFRARED)["A", "SER", "3-5"] == 1
    assert summary(rows.select(["tier"]), INFRARED) == {("A", None, None): 4}
