"""The shortcut gate: 0.5 on noise, red on every planted nuisance, green on honest lenses among matched negatives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.ndimage import gaussian_filter

from lensctl.gates import registry, shortcut
from lensctl.gates.inputs import Inputs
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from tests.gates.of_survey import judge_by_survey
from tests.toys import damage
from tests.toys.alike_classes import LENSES, PIXELS, POSITIVES, SIZE, TABLE
from tests.toys.manifests import changed, galaxies, toy_manifest, with_rows, with_store
from tests.toys.surveys import ONE_BAND, WIDE


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


def test_a_flipped_bit_is_refused_unless_pixels_are_not_to_be_compared(tmp_path):
    path = with_store(tmp_path, TABLE, PIXELS)
    damage.flip_bit(tmp_path / "cutouts.zarr", int(LENSES[0]))
    with pytest.raises(InputError, match="are not those recorded for it"):
        judged(path)
    assert failed(judged(path, ["shortcut.check_pixels=no"])) == []


# what it says of good sets


def test_classes_that_differ_in_nothing_pass_and_every_interval_holds_one_half(plain):
    assert failed(plain) == []
    aucs = [check for check in plain if check.check.startswith("AUC of") and check.limit]
    assert len(aucs) == 35
    assert sum(check.low <= 0.5 <= check.high for check in aucs) >= 31  # at 95 %, one in twenty lies beside
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


@pytest.mark.parametrize("seed", [*range(1, 4), *(pytest.param(k, marks=pytest.mark.soak) for k in range(4, 24))])
def test_noise_passes_whatever_the_seed(tmp_path, seed):
    table = toy_manifest(POSITIVES, 360, seed=100 * seed)
    assert failed(judge(tmp_path, table, galaxies(table, seed=seed, size=SIZE))) == []


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
    pixels[LENSES, :3] = 0.0


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
    values = np.rint(values) if column == "nobs_z" else values
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
    pixels[200, :3] = 0.0
    named = {check.check: check.offenders for check in judge(tmp_path, TABLE, pixels, source=source)}
    ids = TABLE["galaxy_id"].to_pylist()
    assert set(named["excess of zeros in z"]) <= set(ids[:POSITIVES])
    assert len(named["excess of zeros in z"]) == 5
    (source,) = (offenders for name, offenders in named.items() if name.startswith("excess of source"))
    assert source
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


# other surveys

SURVEYS = {survey.name: survey for survey in (WIDE, LS_DR10_GRIZ, ONE_BAND)}


@pytest.fixture(scope="module", params=SURVEYS)
def of_survey(request):
    """A survey, and a table and cutouts of it whose classes differ in nothing."""
    survey = SURVEYS[request.param]
    table = toy_manifest(POSITIVES, 360, survey=survey)
    return survey, table, galaxies(table, size=SIZE)


def test_alike_classes_of_another_survey_pass_and_its_bands_are_named(tmp_path, of_survey):
    survey, table, pixels = of_survey
    checks = judge_by_survey("shortcut", with_store(tmp_path, table, pixels))
    assert failed(checks) == []
    names = {check.check for check in checks}
    for band in survey.bands:
        assert {
            f"AUC of noise_{band}, matched",
            f"excess of zeros in {band}",
            f"AUC of asymmetry_{band}, matched",
        } <= names
    band = survey.depth_band
    radius = {"wide": 2}.get(survey.name, 3)  # 20 of 24 px: the annulus begins there
    assert {
        f"AUC of psfdepth_{band}, within strata",
        f"AUC of type and nobs_{band}_bin",
        f"inner {radius} px brightness in {band}, ratio of medians, matched",
    } <= names


def test_a_nuisance_in_any_band_of_another_survey_fails(tmp_path, of_survey):
    survey, table, pixels = of_survey
    spoilt = pixels.copy()
    middle, last = len(survey.bands) // 2, len(survey.bands) - 1
    spoilt[LENSES, :1, :, middle] = 0.0
    spoilt[LENSES[::3], -2:, :, last] = np.nan
    found = failed(judge_by_survey("shortcut", with_store(tmp_path, table, spoilt)))
    assert {f"excess of zeros in {survey.bands[middle]}", f"excess of nan in {survey.bands[last]}"} <= set(found)


@pytest.mark.parametrize("what", ["psfsize", "psfdepth", "nobs"])
def test_other_conditions_in_the_depth_band_of_another_survey_fail(tmp_path, of_survey, what):
    survey, table, pixels = of_survey
    column = survey.depth(what)
    values = table[column].to_numpy().astype(float)
    values[LENSES] *= 1.5
    values = np.rint(values) if what == "nobs" else values
    table = changed(table, column, pa.array(values, pa.float32()))
    assert f"AUC of {column}" in failed(judge_by_survey("shortcut", with_store(tmp_path, table, pixels)))


def test_negatives_are_matched_in_the_colours_of_the_survey(tmp_path, of_survey):
    survey, table, pixels = of_survey
    for name in {survey.depth("flux"), *survey.colour_columns}:
        values = table[name].to_numpy().astype(float)
        values[LENSES] = values[LENSES] * 100 + 100
        other = changed(table, name, pa.array(values, pa.float32()))
        (tmp_path / name).mkdir(exist_ok=True)
        found = failed(judge_by_survey("shortcut", with_store(tmp_path / name, other, pixels)))
        assert "share of positives matched" in found


def test_columns_and_cutouts_of_another_survey_than_the_one_named_cannot_be_judged(tmp_path, of_survey):
    survey, table, pixels = of_survey
    missing = survey.depth("psfdepth")
    with pytest.raises(InputError, match=missing):
        judge_by_survey("shortcut", with_store(tmp_path, table.drop_columns([missing]), pixels))
    (tmp_path / "small").mkdir()
    small = with_store(tmp_path / "small", table, pixels[:, 14:50, 14:50])
    with pytest.raises(
        InputError, match=f"px or more and bands {', '.join(survey.bands)}, not .36, 36, {len(survey.bands)}."
    ):
        judge_by_survey("shortcut", small)


def test_the_gate_names_the_columns_of_ls_dr10_as_ever():
    of_class = ("galaxy_id", "label", "type", "nobs_z_bin", "healpix_128", "cutout_ok")
    measured = ("psfsize_z", "psfdepth_z", "nobs_z", "flux_z", "g_minus_r", "r_minus_z")
    assert shortcut.needed(LS_DR10) == (*of_class, *measured, "ra", "dec", "cutout_path", "cutout_index")
