"""The homogeneity gate catches cutouts of two origins, within a class and between them."""

from __future__ import annotations

import pytest

from tests.toys.judging import CUTOUTS, failed, judge_facts


def test_homogeneity_passes_one_origin(tmp_path):
    checks = judge_facts(tmp_path)
    assert failed(checks) == []
    assert {c.check: c.note for c in checks}["one source"] == "coadd"


@pytest.mark.parametrize(
    ("fact", "other", "check"),
    [
        ("source", "viewer", "one source"),
        ("layer", "ls-dr9", "one layer"),
        ("release", "DR9", "one release"),
        ("release", None, "one release"),
        ("pixel_scale_arcsec", 0.5, "one pixel scale"),
    ],
)
@pytest.mark.parametrize("where", ["positives", "both"])
def test_homogeneity_catches_mixtures_between_and_within_classes(tmp_path, fact, other, check, where):
    usual = {"source": "coadd", "layer": "ls-dr10-south", "release": "DR10", "pixel_scale_arcsec": 0.262}[fact]
    label = CUTOUTS["label"].to_pylist()
    values = [other if (y if where == "positives" else i % 2) else usual for i, y in enumerate(label)]
    checks = judge_facts(tmp_path, **{fact: values})
    assert check in failed(checks)
    assert "positives" in next(c.offenders[0] for c in checks if c.check == check)


def test_homogeneity_passes_over_failed_cutouts(tmp_path):
    ok = [True] * 20
    ok[3] = False
    source = ["coadd"] * 20
    source[3] = "viewer"
    assert failed(judge_facts(tmp_path, source=source, cutout_ok=ok)) == []
