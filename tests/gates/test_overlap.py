"""The overlap gate lets no positive stand among the negatives, by id or on the sky."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import Step, stamp
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
        near = with_rows(MANIFEST, [250], ra=ra, dec=dec + arcsec / 3600, split=MANIFEST["split"][0].as_py())
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


@pytest.mark.parametrize(
    ("positives", "negatives", "arcsec", "shared"),
    [(26.462, 26.462, 26, True), (26.462, 26.462, 27, False), (105.0, 26.462, 65, True), (105.0, 26.462, 66, False)],
)
def test_overlap_knows_the_size_of_the_cutouts_of_each_class(tmp_path, positives, negatives, arcsec, shared):
    """A lens cut four times as large reaches negatives that one of the usual size does not."""
    sides = {"positives": positives, "negatives": negatives}
    other = next(name for name in ("train", "test") if name != MANIFEST["split"][0].as_py())
    place = {"ra": MANIFEST["ra"][0].as_py(), "dec": MANIFEST["dec"][0].as_py() + arcsec / 3600}
    step = Step("manifest", {"cutout_arcsec": max(sides.values()), "cutout_arcsec_by_class": sides})
    check = "no negative shares sky with a positive of another split"
    near = stamp(with_rows(MANIFEST, [250], **place, split=other), (step,))
    assert failed(judged(tmp_path, "overlap", near)) == [check] * shared
    near = stamp(with_rows(MANIFEST, [250], **place, split=MANIFEST["split"][0].as_py()), (step,))
    assert failed(judged(tmp_path, "overlap", near)) == []


def test_overlap_takes_the_one_size_that_earlier_manifests_recorded(tmp_path):
    other = next(name for name in ("train", "test") if name != MANIFEST["split"][0].as_py())
    place = {"ra": MANIFEST["ra"][0].as_py(), "dec": MANIFEST["dec"][0].as_py() + 50 / 3600}
    near = with_rows(MANIFEST, [250], **place, split=other)
    assert failed(judged(tmp_path, "overlap", near)) == []
    large = stamp(near, (Step("manifest", {"cutout_arcsec": 67.072}),))
    assert failed(judged(tmp_path, "overlap", large)) == ["no negative shares sky with a positive of another split"]


def test_overlap_keeps_the_distance_of_the_survey(tmp_path):
    table = toy_manifest(survey=WIDE)
    ra, dec = table["ra"][0].as_py(), table["dec"][0].as_py()
    for arcsec, wrong in ((4.99, True), (5.01, False)):
        near = with_rows(table, [250], ra=ra, dec=dec + arcsec / 3600, split=table["split"][0].as_py())
        assert bool(failed(judge_by_survey("overlap", saved(tmp_path, near)))) == wrong
