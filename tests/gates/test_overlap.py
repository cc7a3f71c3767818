"""The overlap gate lets no positive stand among the negatives, by id or on the sky."""

from __future__ import annotations

import pyarrow as pa

from tests.gates.of_survey import judge_by_survey
from tests.toys.judging import MANIFEST, failed, judge, judged, pc_label, saved
from tests.toys.manifests import toy_manifest, with_rows
from tests.toys.surveys import WIDE


def test_overlap_passes_and_catches_both_kinds(tmp_path):
    assert failed(judged(tmp_path, "overlap", MANIFEST)) == []
    same = with_rows(MANIFEST, [250], galaxy_id=MANIFEST["galaxy_id"][0].as_py())
    assert failed(judged(tmp_path, "overlap", same)) == ["no id is positive and negative"]
    ra, dec = MANIFEST["ra"][0].as_py(), MANIFEST["dec"][0].as_py()
    for arcsec, wrong in ((10.99, True), (11.01, False)):
        near = with_rows(MANIFEST, [250], ra=ra, dec=dec + arcsec / 3600)
        assert bool(failed(judged(tmp_path, "overlap", near))) == wrong


def test_overlap_takes_two_tables(tmp_path):
    label = pc_label(MANIFEST)
    columns = ["galaxy_id", "ra", "dec"]
    paths = [
        saved(tmp_path, MANIFEST.filter(pa.array(label == value)).select(columns), f"{value}.parquet")
        for value in (1, 0)
    ]
    assert failed(judge("overlap", *paths)) == []
    assert "no id is positive and negative" in failed(judge("overlap", paths[0], paths[0]))


def test_overlap_keeps_the_distance_of_the_survey(tmp_path):
    table = toy_manifest(survey=WIDE)
    ra, dec = table["ra"][0].as_py(), table["dec"][0].as_py()
    for arcsec, wrong in ((4.99, True), (5.01, False)):
        near = with_rows(table, [250], ra=ra, dec=dec + arcsec / 3600)
        assert bool(failed(judge_by_survey("overlap", saved(tmp_path, near)))) == wrong
