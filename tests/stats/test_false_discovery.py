"""False discovery: honest under each null that is stated, wrong under the wrong one, and coarse where it says so."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.stats.false_discovery import (
    CLASSES,
    LOOKALIKE,
    NO_CLASS,
    RANDOM,
    Groups,
    Null,
    count_searched,
    estimated_counts,
    false_discovery,
    groups_of,
)

TARGET, SEARCHED, LENSES, NULL = 0.1, 20_000, 100, 20_000
RING = "ring_proxy"
SEEDS = pytest.mark.parametrize("seeds", [60, pytest.param(200, marks=pytest.mark.soak)])


@dataclass(frozen=True)
class Sky:
    """A share of look-alikes, their mean logit (others 0, lenses 6), and what magnitude does to all logits."""

    share: float = 0.01
    above: float = 2.5
    by_magnitude: float = 0.0
    null_fainter: float = 0.0


def galaxies(random, n, share, sky, fainter=0.0):
    """Logits, classes and magnitudes; half of them bright, or fewer where `fainter` is positive."""
    lookalike = random.random(n) < share
    bright = random.random(n) < 0.5 - fainter
    logit = random.normal(size=n) + sky.above * lookalike + sky.by_magnitude * bright
    return logit, np.where(lookalike, RING, NO_CLASS), np.where(bright, 17.0, 20.0)


def realised(seed, sky, name, *, grouped=False, enriched=None, estimated=False):
    """Share of false ones among the candidates of q <= TARGET, and of the lenses found."""
    random = np.random.default_rng(seed)
    logit, category, magnitude = galaxies(random, SEARCHED, sky.share, sky)
    logit = np.concatenate([logit, random.normal(6.0, 1.0, LENSES)])
    category = np.concatenate([category, np.full(LENSES, NO_CLASS)])
    magnitude = np.concatenate([magnitude, np.full(LENSES, 17.0)])
    is_lens = np.arange(len(logit)) >= SEARCHED
    share = sky.share if enriched is None else enriched
    known, of, faint = galaxies(random, NULL, share, sky, sky.null_fainter)
    weight = None if enriched is None else np.where(of == RING, sky.share / share, (1 - sky.share) / (1 - share))
    groups = groups_of(faint, np.ones(NULL), 2, 1) if grouped else Groups()
    null = Null(known, of, weight, groups.of(faint, np.ones(NULL)))
    group = groups.of(magnitude, np.ones(len(logit)))
    counts = count_searched(category, group, len(groups))
    if estimated:
        counts = estimated_counts(np.bincount(group, minlength=len(groups)).astype(float), null)
    top = np.argsort(-logit)[:2_000]
    taken = false_discovery(logit[top], counts, null).q[name] <= TARGET
    found = int((taken & is_lens[top]).sum())
    return (int(taken.sum()) - found) / max(int(taken.sum()), 1), found / LENSES


def mean_of(seeds, *arguments, **options):
    """Mean false share over seeds, its error, and the mean power."""
    found = np.array([realised(seed, *arguments, **options) for seed in range(seeds)])
    return found[:, 0].mean(), found[:, 0].std(ddof=1) / math.sqrt(seeds), found[:, 1].mean()


FAINT = Sky(by_magnitude=1.5, null_fainter=0.25)
STATED = {
    "random galaxies, and only they": (Sky(share=0.0), RANDOM, {}),
    "classes of a uniform draw": (Sky(), CLASSES, {}),
    "classes, look-alikes drawn more often": (Sky(), CLASSES, {"enriched": 0.3}),
    "classes whose numbers are estimated": (Sky(), CLASSES, {"enriched": 0.3, "estimated": True}),
    "groups of magnitude, the null fainter": (FAINT, CLASSES, {"grouped": True, "enriched": 0.3}),
    "look-alikes as an upper bound": (Sky(), LOOKALIKE, {"enriched": 0.3}),
}


@SEEDS
@pytest.mark.parametrize("case", STATED)
def test_the_realised_share_of_false_ones_is_at_most_the_stated(case, seeds):
    sky, name, options = STATED[case]
    share, error, power = mean_of(seeds, sky, name, **options)
    assert share <= TARGET + 2 * error, (share, error, power)
    assert power > 0.3, "and lenses are found"


@SEEDS
def test_the_estimate_is_not_far_below_the_stated_and_finds_more_than_the_upper_bound(seeds):
    share, _, power = mean_of(seeds, Sky(), CLASSES, enriched=0.3)
    assert share > 0.7 * TARGET
    lowest, _, least = mean_of(seeds, Sky(), LOOKALIKE, enriched=0.3)
    assert (lowest < share / 5, least < power) == (True, True)


@SEEDS
def test_random_galaxies_are_the_wrong_null_where_impostors_are_look_alikes(seeds):
    """The list that claims 10 % holds more than twice as many false ones."""
    share, error, _ = mean_of(seeds, Sky(), RANDOM, enriched=0.3)
    assert share - 5 * error > 2 * TARGET


@SEEDS
def test_without_groups_a_null_of_other_magnitudes_is_wrong(seeds):
    share, error, _ = mean_of(seeds, FAINT, CLASSES, enriched=0.3)
    assert share - 5 * error > 1.2 * TARGET


def one_class(logit, null, total):
    counts = {NO_CLASS: np.array([float(total)])}
    return false_discovery(logit, counts, Null(np.asarray(null, float), np.full(len(null), NO_CLASS)))


@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=30),
    st.lists(st.integers(-4, 4), min_size=1, max_size=30),
    st.integers(0, 100),
)
def test_of_one_class_it_is_benjamini_and_hochberg_of_conformal_p_values(top, null, more):
    """By the slow obvious way, ties and all; every galaxy below the list counts as searched."""
    scores, known = np.array(top, float), np.array(null, float)
    total = len(scores) + more
    found = one_class(scores, known, total)
    p = np.array([(1 + (known >= score).sum()) / (len(known) + 1) for score in scores])
    for k, score in enumerate(scores):
        lists = [total * p[i] / (scores >= scores[i]).sum() for i in range(len(scores)) if scores[i] <= score]
        assert found.q[RANDOM][k] == pytest.approx(min(1.0, *lists))
        assert found.q[CLASSES][k] == found.q[RANDOM][k]
    assert (found.q[LOOKALIKE] == 1.0).all(), "nothing is known of look-alikes"


@given(st.integers(0, 2**31), st.floats(0.01, 0.5))
def test_the_estimate_lies_between_its_bounds_where_look_alikes_score_higher(seed, share):
    """Sorted logits of look-alikes each above those of the others: their tail is never smaller."""
    random = np.random.default_rng(seed)
    others = random.normal(size=300)
    null = Null(np.concatenate([others, others + 1.0]), np.repeat([NO_CLASS, RING], 300))
    counts = {NO_CLASS: np.array([1000 * (1 - share)]), RING: np.array([1000 * share])}
    found = false_discovery(random.normal(2, 2, 50), counts, null).q
    assert (found[RANDOM] <= found[CLASSES] * (1 + 1e-12)).all()
    assert (found[CLASSES] <= found[LOOKALIKE] * (1 + 1e-12)).all()


def test_43_million_searched_with_a_null_of_a_million_need_860_candidates():
    found = one_class([1.0], np.zeros(1_000_000), 43_000_000)
    assert found.fewest_candidates(0.05, RANDOM) == 860
    assert found.sentence(0.05) == "q_classes: at least 860 candidates are needed to reach 0.05"
    assert found.smallest(860, RANDOM) <= 0.05 < found.smallest(859, RANDOM)


@pytest.mark.parametrize("candidates", [859, 860])
def test_so_many_candidates_above_all_of_the_null_reach_it_and_one_fewer_does_not(candidates):
    found = one_class(np.full(candidates, 9.0), np.zeros(1_000_000), 43_000_000)
    assert (found.q[CLASSES].min() <= 0.05) == (candidates == 860)


def test_a_class_without_null_galaxies_is_counted_whole():
    null = Null(np.zeros(1000), np.full(1000, NO_CLASS))
    found = false_discovery([5.0] * 50, {NO_CLASS: np.array([1000.0]), RING: np.array([10.0])}, null)
    assert found.q[CLASSES][0] == pytest.approx((10 + 1000 / 1001) / 50)


def test_weights_are_galaxies_a_row_repeated_is_a_row_of_weight_two():
    """But for the one more that a heavier row stands for."""
    logit, top = np.linspace(-3, 3, 200), np.array([2.5, 1.0, 0.0])
    counts = {NO_CLASS: np.array([5_000.0])}
    named = np.full(200, NO_CLASS)
    heavy = false_discovery(top, counts, Null(logit, named, np.full(200, 2.0)))
    light = false_discovery(top, counts, Null(logit, named))
    assert heavy.q[CLASSES].tolist() == pytest.approx(light.q[CLASSES].tolist())


def test_groups_are_bins_of_both_and_one_of_the_unknown():
    groups = Groups((18.0, 20.0), (1.3,))
    assert len(groups) == 7
    magnitude, psf = [17.0, 18.0, 21.0, np.nan, 17.0], [1.0, 1.3, 1.0, 1.0, np.nan]
    assert groups.of(magnitude, psf).tolist() == [0, 3, 4, 6, 6]
    even = groups_of(np.arange(300.0), np.arange(300.0) % 7)
    assert len(even.magnitude) == 2
    assert len(groups_of([np.nan], [np.nan])) == 2


def test_a_group_without_null_galaxies_is_counted_whole_and_an_empty_one_changes_nothing():
    random = np.random.default_rng(0)
    logit, group = random.normal(size=1_000), np.repeat([0, 1], 500)
    null = Null(logit, np.full(1_000, NO_CLASS), group=group)
    top = np.full(100, 9.0)
    apart = false_discovery(top, {NO_CLASS: np.array([9_000.0, 1_000.0])}, null)
    empty = false_discovery(top, {NO_CLASS: np.array([9_000.0, 1_000.0, 0.0])}, null)
    assert apart.q[CLASSES].tolist() == empty.q[CLASSES].tolist()
    assert apart.unlike[CLASSES] == 0
    unlike = false_discovery(top, {NO_CLASS: np.array([9_000.0, 1_000.0, 7.0])}, null)
    assert unlike.unlike[CLASSES] == 7
    assert unlike.q[CLASSES][0] == pytest.approx(apart.q[CLASSES][0] + 7 / 100)


def test_blocks_of_a_survey_add_up():
    random = np.random.default_rng(1)
    category, group = random.choice([NO_CLASS, RING, "blue"], 500), random.integers(0, 3, 500)
    whole = count_searched(category, group, 3)
    parts = [count_searched(category[rows], group[rows], 3) for rows in (slice(0, 200), slice(200, None))]
    for name, counts in whole.items():
        assert counts.tolist() == sum(part.get(name, np.zeros(3)) for part in parts).tolist()


@pytest.mark.parametrize(
    ("null", "counts", "message"),
    [
        ({"logit": np.array([np.nan])}, {NO_CLASS: np.array([9.0])}, "not finite"),
        ({"weight": np.array([0.0])}, {NO_CLASS: np.array([9.0])}, "not positive"),
        ({"group": np.array([0, 1])}, {NO_CLASS: np.array([9.0])}, "differ in length"),
        ({}, {NO_CLASS: np.array([1.0])}, "more candidates than galaxies searched"),
    ],
)
def test_what_does_not_fit_is_an_error(null, counts, message):
    values = {"logit": np.zeros(1), "category": np.array([NO_CLASS]), **null}
    with pytest.raises(ValueError, match=message):
        false_discovery([1.0, 2.0], counts, Null(**values))
