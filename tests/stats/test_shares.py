"""Intervals of fractions hold the truth as often as they say, on a sky whose neighbours are alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binomtest, norm

from lensctl.stats.intervals import Estimate
from lensctl.stats.shares import below, clopper_pearson, counted, purity_at, share_of_rows, weighted_share, worst_of

MANY = pytest.mark.soak


def sky(random, n, pixels, share, alike):
    """Which rows are taken, and their pixels: neighbours are correlated by `alike` before the cut."""
    pixel = random.integers(0, pixels, n)
    latent = np.sqrt(alike) * random.normal(size=pixels)[pixel] + np.sqrt(1 - alike) * random.normal(size=n)
    return latent > norm.isf(share), pixel


def held(make, truth, seeds):
    """The fraction of seeds whose interval holds the truth, and how far it may lie from it by chance."""
    found = [make(np.random.default_rng(seed)) for seed in range(seeds)]
    return np.mean([one.low <= truth <= one.high for one in found])


SKIES = [(513, 18), (5000, 60), (76_000, 10_000)]


@pytest.mark.parametrize(("n", "pixels"), SKIES)
@pytest.mark.parametrize(("share", "alike"), [(0.03, 0.075), (0.1, 0.3), (0.8, 0.15)])
@pytest.mark.parametrize("seeds", [400, pytest.param(4000, marks=MANY)])
def test_a_fraction_of_rows_that_share_their_sky_lies_in_its_interval(n, pixels, share, alike, seeds):
    """Wilson's interval of the rows held the truth in 45 to 85 of a hundred."""
    seeds = min(seeds, 400) // 2 if n > 10_000 else seeds
    covered = held(lambda random: share_of_rows(*sky(random, n, pixels, share, alike)), share, seeds)
    scatter = 2.5 * np.sqrt(0.05 * 0.95 / seeds)
    assert 0.92 - scatter / 2 <= covered <= 0.985 + scatter / 2


def test_below_ten_pixels_there_is_no_interval_and_it_says_why():
    random = np.random.default_rng(0)
    few = share_of_rows(*sky(random, 500, 8, 0.1, 0.1))
    assert few.value is not None
    assert (few.low, few.high) == (None, None)
    assert few.why.startswith("no interval: the rows lie in 8 HEALPix pixels")
    assert share_of_rows(*sky(random, 500, 10, 0.1, 0.1)).high is not None
    for none in (share_of_rows([0] * 6, range(6)), weighted_share([0] * 6, [2.0] * 6, range(6))):
        assert (none.text, none.high) == ("0 of 6", None)
    assert weighted_share(np.ones(3), np.ones(3), [1, 1, 1]).why.startswith(
        "no interval: the rows lie in 1 HEALPix pixel,"
    )
    assert share_of_rows([], []) == weighted_share([], [], []) == Estimate(None, why="no rows")


def test_with_a_row_in_each_of_many_pixels_it_is_nearly_the_exact_interval():
    share = share_of_rows(np.arange(40_000) < 200, np.arange(40_000))
    exact = binomtest(200, 40_000).proportion_ci(method="exact")
    assert (share.low, share.high) == pytest.approx((exact.low, exact.high), rel=1e-3)


def test_the_exact_interval_is_that_of_the_beta_distribution():
    assert clopper_pearson(2.5, 31.7) == pytest.approx((beta.ppf(0.025, 2.5, 30.2), beta.ppf(0.975, 3.5, 29.2)))
    assert clopper_pearson(0, 20)[0] == 0
    assert clopper_pearson(20, 20)[1] == 1


def test_none_of_501_says_what_is_excluded():
    assert counted(0, 501) == "0 of 501: below 0.0060 at 95 %"
    assert counted(21, 21) == "21 of 21: above 0.87 at 95 %"
    assert counted(3, 501) == counted(0, 0) == ""
    assert (1 - below(501)) ** 501 == pytest.approx(0.05)
    assert share_of_rows(np.zeros(501, bool), np.arange(501)).text == "0 of 501: below 0.0060 at 95 %"


@pytest.mark.parametrize(
    ("events", "few"), [(0, True), (9, True), (10, False), (990, False), (991, True), (1000, True)]
)
def test_the_smaller_of_events_and_others_decides_whether_they_are_few(events, few):
    """20 of 21 found rests on one miss."""
    assert share_of_rows(np.arange(1000) < events, np.arange(1000)).few is few


def weighted_sky(random, events, alike, n=3000, pixels=60):
    """Taken, weight and pixel; the heavy rows are taken less often, as in a stratified sample."""
    heavy = random.random(n) < 0.85
    taken, pixel = sky(random, n, pixels, np.where(heavy, 0.6, 3.0) * events / n, alike)
    return taken, np.where(heavy, 40.0, 4.0), pixel


def weighted_truth(events, n=3000):
    return (0.85 * 40 * 0.6 + 0.15 * 4 * 3) / (0.85 * 40 + 0.15 * 4) * events / n


def spread_sky(random, events, alike, n=3000, pixels=60):
    """Weights that differ a lot, as those of thin strata do."""
    taken, pixel = sky(random, n, pixels, events / n, alike)
    return taken, np.exp(random.normal(size=n)), pixel


@pytest.mark.parametrize(
    ("make", "truth"), [(weighted_sky, weighted_truth), (spread_sky, lambda events: events / 3000)]
)
@pytest.mark.parametrize("events", [8, 20, 80])
@pytest.mark.parametrize("alike", [0.0, 0.1])
@pytest.mark.parametrize("seeds", [200, pytest.param(3000, marks=MANY)])
def test_a_weighted_fraction_lies_in_its_interval(make, truth, events, alike, seeds):
    """The bootstrap's held it in 82 to 92 of a hundred, and missed where no heavy event was seen."""
    covered = held(lambda random: weighted_share(*make(random, events, alike)), truth(events), seeds)
    assert covered >= 0.92 - 1.2 * np.sqrt(0.06 / seeds)


def test_no_event_of_weighted_rows_is_bounded_by_the_heaviest():
    none = np.zeros(500, bool)
    alike = weighted_share(none, np.ones(500), np.arange(500))
    assert alike.high == pytest.approx(3.689 / 500, rel=1e-3)
    assert alike.text == "0 of 500: below 0.0060 at 95 %"
    heavy = np.ones(500)
    heavy[:100] = 50.0
    assert weighted_share(none, heavy, np.arange(500)).high > 4 * alike.high
    assert weighted_share(none, 1e-3 * heavy, np.arange(500)) == weighted_share(none, heavy, np.arange(500))


@pytest.mark.parametrize("events", [8, 20, 80])
@pytest.mark.parametrize("prevalence", [1e-3, 1e-4])
@pytest.mark.parametrize("seeds", [200, pytest.param(3000, marks=MANY)])
def test_purity_at_the_prevalence_of_the_sky_lies_in_its_interval(events, prevalence, seeds):
    recall, rate = 0.7, weighted_truth(events)
    truth = prevalence * recall / (prevalence * recall + (1 - prevalence) * rate)

    def made(random):
        found = share_of_rows(*sky(random, 50, 40, recall, 0.1))
        return purity_at(prevalence, found, weighted_share(*weighted_sky(random, events, 0.1)))

    assert held(made, truth, seeds) >= 0.92 - 1.2 * np.sqrt(0.06 / seeds)


def test_purity_without_a_false_positive_is_bounded_from_below_and_without_a_lens_there_is_none():
    clean = weighted_share(np.zeros(500, bool), np.ones(500), np.arange(500))
    half = share_of_rows(np.arange(40) < 20, np.arange(40))
    pure = purity_at(1e-3, half, clean)
    assert (pure.value, pure.high) == (1.0, 1.0)
    assert pure.text == f"no false positive seen: above {pure.low:.3f}"
    assert pure.low == pytest.approx(1e-3 * half.low / (1e-3 * half.low + 0.999 * clean.high))
    assert purity_at(1e-3, share_of_rows(np.zeros(40), np.arange(40)), clean).value is None
    unknown = purity_at(1e-3, share_of_rows(np.ones(40), np.zeros(40)), clean)
    assert unknown.value == 1.0
    assert (unknown.low, unknown.why[:11]) == (None, "no interval")


@pytest.mark.parametrize("categories", [2, 4])
def test_the_worst_of_categories_holds_the_worst_of_the_truths(categories):
    """The highest of several fractions, with the interval of it alone, is too high and too sure."""
    hit = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        shares = {str(k): sky(random, 200, 40, 0.1, 0.05) for k in range(categories)}
        _, worst = worst_of(shares)
        assert worst.low <= worst.value <= worst.high
        hit += worst.low <= 0.1 <= worst.high
    assert hit >= 186


def test_the_worst_category_has_no_interval_where_one_of_them_has_none():
    random = np.random.default_rng(1)
    full = sky(random, 400, 40, 0.1, 0.0)
    name, worst = worst_of({"ring": full, "small": (np.zeros(3, bool), np.zeros(3, int)), "empty": ([], [])})
    assert (name, worst.high) == ("ring", None)
    assert worst.why.startswith("small: no interval")
    assert worst_of({"empty": ([], [])}) == (None, Estimate(None, why="no rows"))
    assert worst_of({"ring": full})[1].high == share_of_rows(*full).high
