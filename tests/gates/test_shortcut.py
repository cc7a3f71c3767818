"""The shortcut gate: 0.5 on noise, red on every planted nuisance, green on honest lenses among matched negatives."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from lensctl.gates import registry
from lensctl.gates.inputs import Inputs
from lensctl.gates.shortcuts import brightness, features, matching
from lensctl.stats import classifier
from lensctl.stats.auc import auc_of_pairs, auc_within
from tests.toys.manifests import changed, galaxies, toy_manifest, with_rows, with_store

SIZE = 64
POSITIVES = 90
TABLE = toy_manifest(POSITIVES, 360)
PIXELS = galaxies(TABLE, size=SIZE)
LENSES = np.flatnonzero(TABLE["label"].to_numpy() == 1)


def judge(folder, table, pixels, given=(), **facts):
    folder.mkdir(exist_ok=True)
    return judged(with_store(folder, table, pixels, **facts), given)


def judged(path, given=()):
    gate = registry.find("shortcut")
    return list(registry.run(gate, Inputs([str(path)]), registry.settings_for([gate], given)["shortcut"]))


def failed(checks):
    return [check.check for check in checks if not check.passed]


def with_arcs(pixels: np.ndarray, table: pa.Table, strength: float = 1.0) -> np.ndarray:
    """Two arcs, bluer than the galaxy, at Einstein radii of 0.7 to 2.5 arcsec around each positive."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    pixels = pixels.copy()
    flux = table["flux_z"].to_numpy()
    for i in LENSES:
        radius, angle = rng.uniform(0.7, 2.5) / 0.262, rng.uniform(0, 2 * np.pi)
        ring = np.exp(-0.5 * ((r - radius) / 1.8) ** 2)
        arcs = ring * (np.exp(2 * np.cos(phi - angle)) + 0.6 * np.exp(2 * np.cos(phi - angle - np.pi)))
        for band, share in enumerate((0.10, 0.12, 0.10)):
            pixels[i, :, :, band] += strength * share * flux[i] * arcs / arcs.sum()
    return pixels


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return judge(tmp_path_factory.mktemp("plain"), TABLE, PIXELS)


# what it says of good sets


def test_classes_that_differ_in_nothing_pass_and_every_interval_holds_one_half(plain):
    assert failed(plain) == []
    aucs = [check for check in plain if check.check.startswith("AUC of") and check.limit]
    assert len(aucs) == 16
    assert sum(check.low <= 0.5 <= check.high for check in aucs) >= 14  # at 95 %, one in twenty lies beside
    assert all(0.5 - 0.12 < check.value < 0.5 + 0.12 for check in aucs)


def test_every_feature_is_reported_with_an_interval_and_what_it_is(plain):
    physics = [check for check in plain if check.note.startswith("expected physics")]
    names = " ".join(check.check for check in physics)
    assert all(word in names for word in ("annulus_brightness", "asymmetry", "annulus_mad", "profile_10_16px"))
    assert all(check.low is not None and check.high is not None for check in physics)
    assert not any(check.limit for check in physics)
    looked = next(check for check in plain if check.check == "cutouts looked at")
    assert "90 positives" in looked.note


def test_honest_lenses_pass_the_default_level_and_fail_the_plans_own(tmp_path):
    pixels = with_arcs(PIXELS, TABLE)
    checks = judge(tmp_path / "lenses", TABLE, pixels)
    assert failed(checks) == []
    core = next(check for check in checks if check.check == "AUC of core, r < 10 px")
    assert core.low > 0.6
    plan = judged(tmp_path / "lenses" / "manifest.parquet", ("shortcut.level=plan",))
    assert failed(plan) == ["AUC of core, r < 10 px"]


def test_the_plans_brightness_ratio_is_judged_at_its_own_level(tmp_path):
    pixels = PIXELS.copy()
    pixels[LENSES] *= 1.67
    checks = judge(tmp_path, TABLE, pixels, ("shortcut.level=plan",))
    ratio = next(check for check in checks if check.check.startswith("core brightness"))
    assert not ratio.passed
    assert ratio.low < 1.67 < ratio.high
    usual = next(c for c in judged(tmp_path / "manifest.parquet") if c.check == ratio.check)
    assert (usual.passed, usual.value, usual.limit) == (True, ratio.value, "")


# what it catches


def noisy(pixels):
    rng = np.random.default_rng(1)
    pixels[LENSES] += rng.normal(0, 0.006, pixels[LENSES].shape).astype(np.float32)


def resampled(pixels):
    pixels[LENSES] = gaussian_filter(pixels[LENSES], (0, 0.6, 0.6, 0))


def off_centre(pixels):
    pixels[LENSES] = np.roll(pixels[LENSES], 1, axis=1)


def scattered(pixels):
    rng = np.random.default_rng(2)
    for i in LENSES:
        pixels[i] = np.roll(pixels[i], rng.integers(-2, 3, 2), axis=(0, 1))


def zeros(pixels):
    pixels[LENSES, :4] = 0.0


def gaps(pixels):
    pixels[LENSES[::3], -3:, :, 1] = np.nan


def brighter_inside(pixels):
    pixels[LENSES, SIZE // 2 - 3 : SIZE // 2 + 3, SIZE // 2 - 3 : SIZE // 2 + 3] *= 1.3


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (noisy, "AUC of noise_g, matched"),
        (resampled, "AUC of texture_r, matched"),
        (off_centre, "AUC of centroid_r, matched"),
        (scattered, "AUC of centroid_r, matched"),
        (zeros, "excess of zeros in z"),
        (gaps, "excess of nan in r"),
        (brighter_inside, "inner 3 px brightness in z, ratio of medians, matched"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_nuisance_planted_in_the_pixels_fails(tmp_path, plant, check):
    pixels = PIXELS.copy()
    plant(pixels)
    found = failed(judge(tmp_path, TABLE, pixels))
    assert check in found
    if plant in (noisy, resampled, off_centre, zeros):
        assert "AUC of all nuisances together, matched" in found


def test_planes_of_zeros_that_were_taken_for_good_fail(tmp_path):
    pixels, n = PIXELS.copy(), TABLE.num_rows
    pixels[LENSES[::8], :, :, 2] = 0.0
    assert "excess of zeros in z" in failed(judge(tmp_path, TABLE, pixels, cutout_ok=[True] * n, status=["ok"] * n))


@pytest.mark.parametrize(
    ("column", "factor", "check"),
    [
        ("psfsize_z", 0.92, "AUC of psfsize_z, within strata"),
        ("psfdepth_z", 1.5, "AUC of psfdepth_z"),
        ("nobs_z", 1.4, "AUC of nobs_z"),
    ],
)
def test_other_conditions_of_observation_fail(tmp_path, column, factor, check):
    values = TABLE[column].to_numpy().astype(float)
    values[LENSES] *= factor
    table = changed(TABLE, column, pa.array(values, pa.float32()))
    assert check in failed(judge(tmp_path, table, PIXELS))


def test_another_source_fails_even_where_the_pixels_look_alike(tmp_path):
    source = np.where(TABLE["label"].to_numpy() == 1, "viewer", "coadd").tolist()
    assert "excess of source viewer" in failed(judge(tmp_path, TABLE, PIXELS, source=source))


def test_a_class_without_a_measured_depth_fails(tmp_path):
    table = with_rows(TABLE, LENSES.tolist(), psfdepth_z=None)
    depth = next(check for check in judge(tmp_path, table, PIXELS) if check.check == "AUC of psfdepth_z")
    assert (depth.passed, depth.value) == (False, None)
    assert depth.note.startswith("nothing to compare")


def test_positives_that_match_no_negative_fail(tmp_path):
    values = TABLE["flux_z"].to_numpy().copy()
    values[LENSES] *= 1000
    found = failed(judge(tmp_path, changed(TABLE, "flux_z", pa.array(values)), PIXELS))
    assert "share of positives matched" in found
    assert "matched positives to judge" in found


def test_too_few_to_judge_fails(tmp_path):
    path = with_store(tmp_path, TABLE, PIXELS)
    table = pq.read_table(path)
    for rows in (table.slice(0, 0), table.slice(0, 20), table.slice(0, POSITIVES), table.slice(POSITIVES)):
        pq.write_table(rows, path)
        assert failed(judged(path))


def test_limits_can_be_set(tmp_path):
    pixels = PIXELS.copy()
    zeros(pixels)
    path = with_store(tmp_path, TABLE, pixels)
    loose = ("shortcut.max_excess=1", "shortcut.max_auc=1", "shortcut.core_ratio=0,9")
    assert failed(judged(path, loose)) == []


@pytest.mark.parametrize("bad", [None, float("nan")])
def test_rows_without_a_pixel_are_no(tmp_path, bad):
    pixel = TABLE["healpix_128"].to_numpy().astype(float).tolist()
    pixel[7] = bad
    table = changed(TABLE, "healpix_128", pa.array(pixel, pa.float64(), from_pandas=False))
    (homeless,) = [check for check in judge(tmp_path, table, PIXELS) if not check.passed]
    assert (homeless.check, homeless.offenders) == ("healpix_128 is known", (TABLE["galaxy_id"][7].as_py(),))


def test_what_has_zeros_or_another_source_is_named(tmp_path):
    pixels = PIXELS.copy()
    zeros(pixels)
    source = ["coadd" if label else "viewer" for label in TABLE["label"].to_pylist()]
    source[3] = "viewer"
    pixels[200, :4] = 0.0
    named = {check.check: check.offenders for check in judge(tmp_path, TABLE, pixels, source=source)}
    ids = TABLE["galaxy_id"].to_pylist()
    assert set(named["excess of zeros in z"]) <= set(ids[:POSITIVES])
    assert len(named["excess of zeros in z"]) == 5
    (source,) = (offenders for name, offenders in named.items() if name.startswith("excess of source"))
    assert set(source) <= set(ids[POSITIVES:] if "excess of source viewer" in named else ids[:POSITIVES])
    assert named["excess of layer ls-dr10-south"] == ()


def test_failed_cutouts_are_not_looked_at(tmp_path):
    pixels = PIXELS.copy()
    pixels[LENSES[:5]] = np.nan
    checks = judge(tmp_path, TABLE, pixels)
    assert checks[0].n == POSITIVES - 5
    assert failed(checks) == []


def test_the_same_manifest_gives_the_same_lines(tmp_path):
    path = with_store(tmp_path, TABLE, PIXELS)
    given = ("shortcut.positives=60",)
    assert [c.as_json() for c in judged(path, given)] == [c.as_json() for c in judged(path, given)]


# the parts


def on_noise(seed: int, kind: str) -> float:
    """How far a classifier's AUC on noise lies from one half, in standard errors of its interval."""
    rng = np.random.default_rng(seed)
    n, lenses = 360, 60
    x, is_lens, pixel = rng.normal(size=(n, 12)), np.arange(n) < lenses, rng.integers(0, 200, n)
    score, fold = classifier.out_of_fold(x, is_lens, np.ones(n), pixel, folds=5, seed=seed)
    if kind == "strata":
        estimate = auc_within(score, is_lens, fold, pixel, fitted=True)
    else:
        positive, negative = np.repeat(np.arange(lenses), 5), rng.permutation(np.arange(lenses, n))
        estimate = auc_of_pairs(score, positive, negative, pixel, fitted=True)
    return (estimate.value - 0.5) / ((estimate.high - estimate.low) / 2 / 1.96)


@pytest.mark.parametrize("kind", ["strata", "pairs"])
def test_a_classifier_on_noise_says_one_half_within_its_error_whatever_the_seed(kind):
    """The origin fitted and judged on the same rows: AUC 0.88 on noise."""
    away = np.array([on_noise(seed, kind) for seed in range(30)])
    assert abs(away.mean()) < 3 / math.sqrt(len(away))
    assert 0.6 < away.std() < 1.0  # times 1.4 where the interval does not know that it was fitted
    assert (np.abs(away) < 1.96).mean() >= 0.9


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["strata", "pairs"])
def test_a_classifier_on_noise_over_many_seeds(kind):
    away = np.array([on_noise(seed, kind) for seed in range(1000, 1120)])
    assert abs(away.mean()) < 3 / math.sqrt(len(away))
    assert 0.85 < away.std() < 1.1
    assert 0.92 < (np.abs(away) < 1.96).mean() < 0.98


@pytest.mark.parametrize("seed", [*range(1, 4), *(pytest.param(k, marks=pytest.mark.soak) for k in range(4, 24))])
def test_noise_passes_whatever_the_seed(tmp_path, seed):
    table = toy_manifest(POSITIVES, 360, seed=100 * seed)
    assert failed(judge(tmp_path, table, galaxies(table, seed=seed, size=SIZE))) == []


def test_a_classifier_finds_what_one_number_does_not_show():
    rng = np.random.default_rng(3)
    x, pixel = rng.normal(size=(800, 2)), rng.integers(0, 40, 800)
    is_lens = (x[:, 0] * x[:, 1] > 0) & (rng.random(800) < 0.5)
    score, fold = classifier.out_of_fold(x, is_lens, np.ones(800), pixel, folds=5, seed=0)
    assert auc_within(score, is_lens, fold, pixel).low > 0.6


def test_a_classifier_never_sees_the_sky_it_is_judged_on():
    """Numbers that name the pixel, which names the class, would be learnt by heart."""
    rng = np.random.default_rng(4)
    pixel = np.repeat(np.arange(40), 20)
    is_lens = rng.random(40)[pixel] < 0.5
    x = rng.normal(size=(40, 5))[pixel]
    score, fold = classifier.out_of_fold(x, is_lens, np.ones(800), pixel, folds=5, seed=0)
    estimate = auc_within(score, is_lens, fold, pixel)
    assert estimate.low < 0.5 < estimate.high


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 2)), min_size=1, max_size=40))
def test_auc_within_strata_is_that_of_all_pairs(rows):
    score, is_lens, stratum = (np.array(column) for column in zip(*rows, strict=True))
    both = [s for s in np.unique(stratum) if is_lens[stratum == s].any() and not is_lens[stratum == s].all()]
    estimate = auc_within(score.astype(float), is_lens, stratum, np.arange(len(rows)))
    if not both:
        assert estimate.value is None
        return
    total = count = 0.0
    for s in both:
        lenses, others = score[is_lens & (stratum == s)], score[~is_lens & (stratum == s)]
        won = [(a > b) + 0.5 * (a == b) for a in lenses for b in others]
        total, count = total + np.mean(won) * len(lenses), count + len(lenses)
    assert estimate.value == pytest.approx(total / count)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    pairs = [
        (i, j)
        for s in both
        for i in np.flatnonzero(is_lens & (stratum == s))
        for j in np.flatnonzero(~is_lens & (stratum == s))
    ]
    i, j = np.array(pairs).T
    matched = auc_of_pairs(score.astype(float), i, j, np.arange(len(rows)))
    assert matched.value == pytest.approx(estimate.value)


@pytest.mark.parametrize("kind", ["strata", "pairs"])
def test_intervals_hold_the_truth_as_often_as_they_say_although_neighbours_are_alike(kind):
    held = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        is_lens, pixel = np.arange(400) < 80, rng.integers(0, 60, 400)
        score = rng.normal(size=400) + 0.5 * rng.normal(size=60)[pixel]
        if kind == "strata":
            estimate = auc_within(score, is_lens, rng.integers(0, 4, 400), pixel)
        else:
            partners = 80 + rng.integers(0, 320, 400)
            estimate = auc_of_pairs(score, np.repeat(np.arange(80), 5), partners, pixel)
        held.append(estimate.low <= 0.5 <= estimate.high)
    assert 0.90 <= np.mean(held) <= 1


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_matches_are_the_nearest_within_every_tolerance(seed, partners):
    rng = np.random.default_rng(seed)
    place, kind = rng.uniform(0, 3, (60, 5)), rng.choice(["SER", "DEV"], 60)
    place[rng.integers(0, 60, 3), rng.integers(0, 5, 3)] = np.nan
    lenses, others = np.arange(15), np.arange(15, 60)
    found = list(zip(*matching.match(place, kind, lenses, others, partners), strict=True))
    truth = []
    for i in lenses:
        distance = [(np.abs(place[i] - place[j]).max(), j) for j in others if kind[i] == kind[j]]
        truth += [(i, j) for _, j in sorted((d, j) for d, j in distance if d <= 1)[:partners]]
    assert found == truth


def test_a_sample_is_stratified_reproducible_and_grows():
    ids = np.array([f"g{i}" for i in range(2000)])
    rng = np.random.default_rng(0)
    stratum, is_lens = rng.integers(0, 3, 2000), rng.random(2000) < 0.2
    lenses, others = np.flatnonzero(is_lens), np.flatnonzero(~is_lens)
    small, large = (matching.sample(ids, stratum, lenses, others, most=n, partners=2, seed=1) for n in (60, 120))
    assert len(small[0]) == 60
    assert set(small[0]) <= set(large[0])
    assert np.bincount(stratum[small[1]]).tolist() == (2 * np.bincount(stratum[small[0]])).tolist()
    shares = np.bincount(stratum[small[0]]) / 60 - np.bincount(stratum[lenses]) / len(lenses)
    assert np.abs(shares).max() < 1 / 60
    mixed = rng.permutation(2000)
    again = matching.sample(
        ids[mixed],
        stratum[mixed],
        np.flatnonzero(is_lens[mixed]),
        np.flatnonzero(~is_lens[mixed]),
        most=60,
        partners=2,
        seed=1,
    )
    assert set(ids[mixed][again[0]]) == set(ids[small[0]])


@pytest.mark.parametrize("size", [64, 101])
def test_features_measure_what_they_say(size):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    galaxy = np.exp(-((x - 1.5) ** 2 + y**2) / 2 / 2.5**2)
    pixels = (rng.normal(0, 0.05, (40, size, size, 3)) + 3 * galaxy[:, :, None] + 0.2).astype(np.float32)
    values = dict(zip(features.NAMES, features.measure(pixels, 0.5).mean(axis=0), strict=True))
    assert values["noise_r"] == pytest.approx(0.05, rel=0.02)
    assert values["annulus_mad_r"] == pytest.approx(0.05, rel=0.02)
    assert values["texture_z"] == pytest.approx(1, abs=0.02)
    assert values["annulus_brightness_g"] == pytest.approx(0.2, abs=0.005)
    assert values["centroid_x"] == pytest.approx(1.5, abs=0.1)
    assert values["centroid_y"] == 0 or abs(values["centroid_y"]) < 0.1
    r = np.hypot(x, y)
    assert values["profile_3_6px_g"] == pytest.approx(3 * galaxy[(r >= 3) & (r < 6)].mean(), rel=0.02)
    assert values["core_brightness"] == pytest.approx(3 * galaxy[r < 10].mean(), rel=0.02)


def test_features_of_a_cutout_do_not_depend_on_its_neighbours_or_on_gaps_elsewhere():
    pixels = PIXELS[:8].copy()
    pixels[0, :5] = np.nan
    pixels[1] = np.nan
    pixels[2] = 0
    together = features.measure(pixels, 0.5)
    for i in range(8):
        assert np.array_equal(features.measure(pixels[i : i + 1], 0.5)[0], together[i], equal_nan=True)
    assert np.isfinite(together[0][list(features.NAMES).index("noise_g")])
    assert features.measure(pixels[:0], 0.5).shape == (0, len(features.NAMES))


def test_features_of_a_ring_are_those_of_its_good_pixels():
    pixels = np.full((1, 101, 101, 3), 0.0, np.float32)
    pixels[0, 46:55, 46:55] = 2.0
    whole = features.measure(pixels, 0.5)
    pixels[0, 50, 51:53, 0] = np.nan
    torn = features.measure(pixels, 0.5)
    columns = [i for i, name in enumerate(features.NAMES) if name in ("profile_0_3px_g", "core_mean_0_2px_g")]
    assert torn[0, columns].tolist() == whole[0, columns].tolist() == [2.0, 2.0]


def test_a_matched_ratio_of_medians_is_flux_for_flux():
    rng = np.random.default_rng(0)
    flux = rng.lognormal(2, 0.5, 600)
    value = 0.1 * flux * rng.lognormal(0, 0.1, 600)
    value[:100] *= 1.2
    positive, negative = np.repeat(np.arange(100), 5), 100 + rng.integers(0, 500, 500)
    estimate = brightness.matched_ratio(value, flux, positive, negative, np.arange(600), 0)
    assert estimate.value == pytest.approx(1.2, abs=0.05)
    assert estimate.low < 1.2 < estimate.high
    assert estimate.high - estimate.low < 0.2


def test_ratios_of_nothing_have_no_value():
    nothing = np.zeros(0, np.int64)
    assert brightness.matched_ratio(np.ones(3), np.ones(3), nothing, nothing, np.arange(3), 0).value is None
    assert brightness.mean_ratio(np.ones(3), np.ones(3, bool), np.arange(3), 0).value is None
    assert brightness.mean_ratio(np.array([1.0, -1, -1]), np.array([True, False, False]), np.arange(3), 0).value is None
    assert math.isclose(
        brightness.mean_ratio(np.array([3.0, 1, 2]), np.array([True, False, False]), np.arange(3), 0).value, 2
    )
