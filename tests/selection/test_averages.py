"""Both averages recover a truth that is known exactly, or there is a reason in their place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lensctl.selection import averages
from lensctl.selection.averages import Average, agree, clustered_half_width, completeness, importance, plug_in
from lensctl.selection.predicting import Selection
from tests.toys import selections
from tests.toys.selections import Mean

RUNS = 400


def told_of(seed: int, n: int = 8000, hosts: int = 1200, faint: float = 0.0, min_neff: float = 30):
    people = selections.population(1000 + seed, n, faint)
    return told_for(people, selections.selection(seed, hosts), min_neff)


def told_for(people: averages.Population, of: Selection, min_neff: float = 30):
    return completeness(people, of.predictor.predict(people.values), of, min_neff=min_neff)


@pytest.fixture(scope="module")
def truth() -> float:
    people = selections.population(10**6, 1_000_000)
    return float((people.weight * selections.p_of(people.values)).sum() / people.weight.sum())


def deviation(average: dict[str, float], truth: float) -> float:
    return (average["value"] - truth) / ((average["high"] - average["low"]) / 2 / 1.96)


def test_both_averages_recover_the_truth_where_design_and_population_differ(truth):
    told = [told_of(seed) for seed in range(3)]
    for name in ("plug_in", "importance"):
        assert all(abs(deviation(each[name]["within"], truth)) < 3 for each in told), name
    assert all(each["agree"] and not each["reasons"] for each in told)
    assert all(each["box_mean"]["value"] > truth + 0.1 for each in told)


@pytest.mark.soak
def test_both_averages_recover_the_truth_within_two_standard_errors_in_most_of_20_seeds(truth):
    told = [told_of(seed, 20_000, 2000) for seed in range(20)]
    for name in ("plug_in", "importance"):
        assert sum(abs(deviation(each[name]["within"], truth)) < 2 for each in told) >= 17, name
    assert sum(each["agree"] for each in told) >= 19


def test_fainter_lenses_count_as_not_found():
    told = told_of(1, faint=0.75)
    share = told["share"]["fainter_than_injections"]
    assert 0.7 < share < 0.8
    for name in ("plug_in", "importance"):
        for end in ("value", "low", "high"):
            assert told[name]["all"][end] == pytest.approx(told[name]["within"][end] * (1 - share), abs=2e-6)


def test_a_population_outside_the_support_has_a_reason_and_no_figure():
    people = selections.population(5, 4000)
    people.values["theta_e"][:] = np.where(np.arange(4000) % 10 == 0, 3.9, people.values["theta_e"])
    told = told_for(people, selections.selection(5))
    assert told["plug_in"] is told["importance"] is told["agree"] is None
    assert "of the weight lies outside the support" in told["reasons"][0]
    assert told["share"]["outside_support"] == pytest.approx(0.1, abs=0.02)


def test_too_few_hosts_behind_an_average_have_a_reason_and_no_figure():
    told = told_of(1, n=2000, hosts=200, min_neff=10_000)
    assert told["plug_in"] is told["importance"] is None
    assert "of independent hosts, fewer than 10000" in told["reasons"][0]
    assert 0 < told["n_eff"]["injections"] < 200


def test_averages_that_disagree_are_said_to():
    """A p_det that is wrong for this population: 0.2 too high."""
    told = told_for(selections.population(3, 8000), selections.selection(3, shift=0.2))
    assert told["agree"] is False
    assert "further apart than their errors allow" in told["reasons"][0]


def test_the_box_mean_is_what_was_found_and_never_called_completeness():
    told = told_of(1, n=2000, hosts=300)
    found = selections.injections(1, 300).detected
    assert told["box_mean"]["value"] == pytest.approx(found.mean(), abs=1e-6)
    assert "it is not a completeness" in told["box_mean"]["is"]


def test_rows_outside_do_not_count_in_the_average():
    people = selections.population(4, 4000)
    odd = np.arange(4000) % 40 == 0
    people.values["theta_e"][odd] = 3.9
    of = selections.selection(4)
    found = of.predictor.predict(people.values)
    told = told_for(people, of)
    kept = people.weight * ~odd
    expected = (kept * found.p).sum() / kept.sum()
    assert told["plug_in"]["within"]["value"] == pytest.approx(expected, abs=1e-6)


def test_the_population_is_compared_by_its_weights(monkeypatch):
    """Weights of 0 take rows out."""
    people = selections.population(6, 6000)
    heavy = dataclasses.replace(people, weight=np.where(people.values["theta_e"] > 1, people.weight, 0.0))
    cut = people.values["theta_e"] > 1
    alone = dataclasses.replace(
        people,
        values={name: values[cut] for name, values in people.values.items()},
        weight=people.weight[cut],
        faint=people.faint[cut],
        pixel=people.pixel[cut],
    )
    monkeypatch.setattr(averages, "MOST_ROWS", 1500)
    one, two = (told_for(each, selections.selection(6), 1) for each in (heavy, alone))
    assert one["plug_in"]["within"]["value"] == pytest.approx(two["plug_in"]["within"]["value"], abs=1e-6)
    assert one["importance"]["within"]["value"] == pytest.approx(two["importance"]["within"]["value"], abs=0.01)


def test_importance_is_the_weighted_share_and_its_error_that_of_a_binomial():
    rng = np.random.default_rng(1)
    detected = rng.random(4000) < 0.3
    found = importance(np.ones(4000), detected, np.arange(4000))
    assert found.value == pytest.approx(detected.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 4000), rel=0.05)


@pytest.mark.parametrize("p", [0.05, 0.15, 0.5])
def test_its_interval_holds_the_truth_where_few_are_found_and_few_weigh_most(p):
    """As in a small run: 26 pixels, weights with a long tail, fates that hosts share. An interval even in p misses 8 %
    where p is 0.05, nearly all of them above it."""
    rng = np.random.default_rng(7)
    low = high = 0
    for _ in range(RUNS):
        host = np.repeat(np.arange(140), 20)
        ratio = rng.lognormal(0, 0.6, 140)[host] * rng.lognormal(0, 1, len(host))
        of_host = np.clip(p * rng.gamma(4, 1 / 4, 140), 0, 1)
        found = importance(ratio, rng.random(len(host)) < of_host[host], host % 26)
        low, high = low + (p < found.low), high + (p > found.high)
    assert low + high <= 0.075 * RUNS
    assert high <= 0.06 * RUNS


@pytest.mark.parametrize(("taken", "said"), [(False, "none of those"), (True, "all of those")])
def test_where_none_or_all_were_found_there_is_no_interval_but_the_reason(taken, said):
    found = importance(np.ones(300), np.full(300, taken), np.arange(300))
    assert (found.value, found.low, found.high) == (float(taken), None, None)
    assert found.why.startswith(f"the injections: no interval: {said}")


def test_injections_of_one_host_that_share_their_fate_are_one_trial():
    rng = np.random.default_rng(2)
    detected = np.repeat(rng.random(800) < 0.5, 5)
    alone, together = (
        importance(np.ones(4000), detected, of) for of in (np.arange(4000), np.repeat(np.arange(800), 5))
    )
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(5), rel=0.05)


def test_plug_in_has_the_models_interval_and_the_tables_scatter():
    rng = np.random.default_rng(3)
    p = rng.random(1000)
    found = plug_in(Mean(p.mean(), p.mean() - 0.1, p.mean() + 0.05), p, np.ones(1000), None)
    scatter = 1.96 * p.std() / np.sqrt(1000)
    assert found.value == pytest.approx(p.mean())
    assert found.value - found.low == pytest.approx(np.hypot(0.1, scatter), rel=1e-3)
    assert found.high - found.value == pytest.approx(np.hypot(0.05, scatter), rel=1e-3)


def test_clusters_show_their_scatter_and_fewer_than_ten_do_not():
    residual, weight = np.random.default_rng(1).normal(size=90), np.ones(90)
    half, why = clustered_half_width(weight, residual, np.arange(90) % 10)
    sums = residual.reshape(9, 10).sum(axis=0)
    assert (half, why) == (pytest.approx(2.262157 * np.sqrt((sums**2).sum() * 10 / 9) / 90), "")  # t of 9 degrees
    heavy = np.where(np.arange(90) % 10 < 5, 1.0, 1e-9)
    assert clustered_half_width(heavy, np.sign(residual), np.arange(90) % 10)[0] == pytest.approx(
        2.776445 * np.sqrt((np.sign(residual).reshape(9, 10).sum(axis=0)[:5] ** 2).sum() * 10 / 9) / 45
    )  # of the 4 that the pixels with weight have
    assert clustered_half_width(weight, residual, np.arange(90) % 9) == (
        None, "no interval: the rows lie in 9 HEALPix pixels, and fewer than 10 do not show their scatter",
    )  # fmt: skip


def test_hosts_in_few_pixels_have_a_completeness_without_an_interval_and_the_reason():
    """As if rows were independent, the interval would be too narrow: pixels share seeing and depth."""
    known = selections.selection(1)
    few = dataclasses.replace(known.injections, pixel=known.injections.host % 9)
    told = told_for(selections.population(1, 4000), dataclasses.replace(known, injections=few))
    within = told["importance"]["within"]
    assert (within["low"], within["high"], told["agree"]) == (None, None, None)
    assert within["value"] == pytest.approx(told["plug_in"]["within"]["value"], abs=0.06)
    why = "the injections: no interval: the rows lie in 9 HEALPix pixels, and fewer than 10 do not show their scatter"
    assert (within["why"], told["reasons"]) == (why, [why])
    assert told["plug_in"]["within"]["low"] < told["plug_in"]["within"]["value"]


def test_a_population_in_few_pixels_has_no_interval_either():
    people = selections.population(1, 4000)
    told = told_for(dataclasses.replace(people, pixel=np.arange(4000) % 3), selections.selection(1))
    assert (told["plug_in"]["within"]["low"], told["plug_in"]["all"]["high"], told["agree"]) == (None, None, None)
    assert told["reasons"][0].startswith("the table: no interval: the rows lie in 3 HEALPix pixels")
    assert told["importance"]["within"]["low"] is not None


def test_rows_without_pixels_are_said_to_be_taken_for_independent():
    rng = np.random.default_rng(3)
    p = rng.random(1000)
    mean = Mean(p.mean(), p.mean() - 0.1, p.mean() + 0.05)
    alone, placed = (plug_in(mean, p, np.ones(1000), pixel) for pixel in (None, np.arange(1000)))
    assert (alone.low, alone.high) == (placed.low, placed.high)
    assert alone.interval == "of p_det and of the table, its rows independent"


def test_no_interval_no_agreement():
    assert agree(Average(0.5, None, None), Average(0.5, 0.4, 0.6)) is None
    assert agree(Average(0.5, 0.4, 0.6), Average(0.4, None, None)) is None


@pytest.mark.parametrize(("gap", "expected"), [(0.049, True), (0.051, False), (-0.049, True), (-0.051, False)])
def test_two_averages_agree_within_both_intervals(gap, expected):
    assert agree(Average(0.5, 0.47, 0.53), Average(0.5 + gap, 0.46 + gap, 0.54 + gap)) is expected
