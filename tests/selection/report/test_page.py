"""report.html of a selection function: names are text, and what is not known is said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lensctl.frozen.selection_level import closure_interval
from lensctl.rules.survey import LS_DR10
from lensctl.selection.p_det.axes import physical_axes
from lensctl.selection.report import page
from tests.toys.pages import Page, faults

NASTY = '"><script>alert(1)</script>'
AXES = physical_axes(LS_DR10)


@pytest.fixture
def contents():
    """A report with one threshold of a nasty name, and nothing optional."""
    share = {"value": 0.4, "low": 0.3, "high": 0.5}
    point = {
        "name": NASTY, "logit": 1.0, "box_mean": share, "hosts_above": 2, "threshold_low": None, "threshold_high": None,
        "box_mean_at_threshold_low": None, "box_mean_at_threshold_high": None,
        "fit": {"rows": 100, "detected": 40, "ceiling": 0.9, "design_effect": 1.2},
    }  # fmt: skip
    facts = {
        "model": NASTY, "model_digest": "sha256:a", "note": NASTY, "thresholds": [point], "population": None,
        "rows": {"injections": 120, "usable": 100, "hosts": 20, "per_host": 6,
                 "lost": [{"reason": NASTY, "rows": 20, "hosts": 4}]},
        "left_out": [{"name": NASTY, "why": NASTY}], "realism": [],
        "systematic_logit_shift": {NASTY: None}, "design_digests": [NASTY],
        "tables": {"injections": {"rows": 100, "digest": "sha256:b"}},
        "provenance": [{"id": "1", "command": "x", "version": "1",
                        "inputs": [{"role": "hosts", "name": NASTY, "step": None}]}],
    }  # fmt: skip
    plots = dict.fromkeys(("map-x", "curves-x", "conditions", "score-shift"), "data:image/svg+xml;base64,")
    values = {axis.name: np.linspace(1, 2, 11) for axis in AXES}
    held = {NASTY: [(axis, 1.0) for axis in AXES[2:]]}
    return page.Contents(facts, {}, page.ranges(AXES, values), plots, held, {NASTY: "x"})


def test_names_in_the_data_are_text(contents):
    card = {"galaxy_id": NASTY, "theta_e": 1.0, "magnitude": 21.0, "magnification": 3.0, "logit": 0.0, "p": 0.5}
    card |= {"pictures": [("injected", "data:image/jpeg;base64,")]}
    row = {"control": NASTY, "meaning": NASTY, "threshold": NASTY, "n": 5, "p": 0.1, "p_low": None, "p_high": None}
    row |= {"p_unchanged": None, "difference": None, "most_from_host": None, "lost": 0}
    shown = dataclasses.replace(
        contents,
        tables={"controls": [row]},
        plots={**contents.plots, "controls": "data:image/svg+xml;base64,"},
        galleries={NASTY: {"found": [card]}},
    )
    html = page.render(shown)
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert") > 15
    read = Page(html)
    assert read.open == []
    assert read.tags.count("script") == 1
    assert faults(html) == []


def test_those_who_hear_it_or_use_keys_alone_find_everything(contents):
    assert faults(page.render(contents)) == []


def test_what_was_not_given_is_said_in_a_sentence(contents):
    html = page.render(contents)
    for text in (
        "There are no pictures",
        "nothing says which detections need an arc",
        "No assumption was varied",
        "This folder cannot be judged: it has no real lenses",
        "Nothing here says that p_det holds for real lenses",
        "The design of the injections is no population",
        "No cell has enough rows for a figure",
        "which share of lenses is in it is not told",
    ):
        assert text in html
    for known in page.CONTROLS:
        assert f"<b>{known}</b>" in html


def test_what_everyone_must_know_is_there_whatever_was_given(contents):
    html = " ".join(page.render(contents).split())
    for text in (
        "the share of the box is not a completeness",
        "found by networks like ours",
        "share one test split",
        "Put p_det under the integral",
        "Never weight found lenses by 1/p where p is below 0.1",
        "within bands of p_det",
        "Detection of the galaxy, its catalogue fit and deblending are not done again",
        "120 injections were given, 100 used",
    ):
        assert text in html


def test_limits_of_the_gates_are_those_of_the_rules(contents, monkeypatch):
    monkeypatch.setattr(page.acceptance, "MOST_ARC_AUC", 0.77)
    assert "the whole interval lies above 0.77" in page.render(contents)


def test_cells_that_hold_most_of_what_is_missed_come_by_threshold():
    rows = [{"threshold": "a", "second": "m" if k % 2 else "", "k": k} for k in range(40)]
    found = page.worst([*rows, {"threshold": "b", "second": "m", "k": -1}], "a")
    assert [row["k"] for row in found["two"]] == list(range(1, 2 * page.MOST_CELLS, 2))
    assert [row["k"] for row in found["one"]] == list(range(0, 2 * page.MOST_CELLS, 2))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0123456, "0.0123"), (-1.5, "−1.5"), (1799.6, "1,800"), (-2500, "−2,500"), (0, "0")],
)
def test_numbers_are_brief(value, text):
    assert page.brief(value) == text


def test_ranges_are_those_of_the_injections():
    values = {axis.name: np.arange(101.0) for axis in AXES}
    row = page.ranges(AXES, values)[1]
    assert (row["axis"], row["unit"]) == ("arc_mag_r", "mag")
    assert [row[name] for name in ("least", "p5", "p50", "p95", "greatest")] == [0, 5, 50, 95, 100]


def test_the_interval_of_a_closure_is_that_of_the_gate(contents):
    """Student's of ten degrees of freedom, +-0.111, and not 1.96 errors; without an error there is none."""
    row = {"lenses": "A+B", "threshold": "x", "n": 40, "pixels": 11, "outside": 0, "unobserved": 0, "recall": 0.7}
    row |= {"p_mean": 0.6, "difference": 0.1, "standard_error": 0.05}
    alone = {**row, "lenses": "A", "difference": None, "standard_error": None}
    plots = {**contents.plots, "closure": "data:image/svg+xml;base64,"}
    html = page.render(dataclasses.replace(contents, tables={"closure": [row, alone]}, plots=plots))
    assert "−0.011 to 0.211" in html
    assert closure_interval(row) == pytest.approx((0.1 - 2.228139 * 0.05, 0.1 + 2.228139 * 0.05))
