"""A layer may serve northern pixels too, and where it does is known from the position."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.gates.of_survey import judge_by_survey
from tests.toys.judging import CUTOUTS, failed, judge_facts
from tests.toys.manifests import toy_manifest, with_rows, with_store
from tests.toys.surveys import WIDE


def test_homogeneity_catches_northern_pixels_of_the_same_layer(tmp_path):
    layer = ["ls-dr10"] * 20
    table = with_rows(CUTOUTS, list(range(20)), ra=180.0, dec=32.0)
    assert failed(judge_facts(tmp_path, table, layer=layer)) == []
    (tmp_path / "north").mkdir()
    table = with_rows(table, [3, 4], dec=33.0)
    assert failed(judge_facts(tmp_path / "north", table, layer=layer)) == ["one survey"]
    (tmp_path / "south").mkdir()
    table = with_rows(table, [3, 4], ra=20.0)  # south of the Galactic plane there is no northern survey
    assert failed(judge_facts(tmp_path / "south", table, layer=layer)) == []


def test_a_survey_with_one_layer_has_no_northern_side(tmp_path):
    survey = dataclasses.replace(WIDE, layer="wide")
    table = with_rows(toy_manifest(6, 14, survey=survey), list(range(20)), ra=180.0)
    table = with_rows(table, [3, 4], dec=60.0)
    checks = judge_by_survey("homogeneity", with_store(tmp_path, table, np.ones((20, 9, 9, 4), np.float32)))
    assert failed(checks) == []
    assert {check.check: check.note for check in checks}["one survey"] == "wide"


def test_pixels_of_another_layer_are_of_that_layer(tmp_path):
    assert {check.check: check.note for check in judge_facts(tmp_path)}["one survey"] == "ls-dr10-south"
