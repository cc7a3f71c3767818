"""The splits gate passes what the rule splits, and catches every way that sky or objects leak across a border."""

from __future__ import annotations

import dataclasses
import hashlib

import healpy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, stamp
from lensctl.rules import split
from lensctl.rules.survey import LS_DR10
from tests.gates.of_survey import judge_by_survey
from tests.toys.judging import MANIFEST, failed, judge, judged, pc_label, saved
from tests.toys.manifests import border, changed, moved, toy_manifest, with_rows
from tests.toys.surveys import WIDE

TRAIN_POSITIVE = next(
    i
    for i, (s, y) in enumerate(zip(MANIFEST["split"].to_pylist(), MANIFEST["label"].to_pylist(), strict=True))
    if y and s == "train"
)


def test_splits_passes_a_manifest_split_by_the_rule(tmp_path):
    checks = judged(tmp_path, "splits", MANIFEST)
    assert failed(checks) == []
    shares = {check.check: check for check in checks if "share of" in check.check}
    assert len(shares) == 9
    assert all(check.low < check.value < check.high for check in shares.values())
    assert shares["val share of positives"].n == 200


def test_splits_catches_positives_split_by_pythons_salted_hash(tmp_path):
    """The fault of the origin: 84 of its 112 validation lenses lay in pixels that trained."""
    names = MANIFEST["split"].to_pylist()
    for i, (name, label) in enumerate(
        zip(MANIFEST["galaxy_id"].to_pylist(), MANIFEST["label"].to_pylist(), strict=True)
    ):
        if label:
            u = int.from_bytes(hashlib.md5(b"salt" + name.encode()).digest()[:4], "big") / 2**32
            names[i] = "train" if u < 0.7 else "val" if u < 0.85 else "test"
    checks = judged(tmp_path, "splits", changed(MANIFEST, "split", names))
    rule = next(check for check in checks if check.check == "split is that of the rule")
    assert not rule.passed
    assert "only positives" in rule.note
    assert len(rule.offenders) == 5


def test_splits_catches_shares_laid_out_in_alphabetical_order(tmp_path):
    names = []
    for pixel in MANIFEST["healpix_128"].to_pylist():
        u = int.from_bytes(hashlib.sha256(f"{pixel}_{split.SEED}".encode()).digest()[:4], "big") / 2**32
        names.append("test" if u < 0.15 else "train" if u < 0.85 else "val")
    checks = judged(tmp_path, "splits", changed(MANIFEST, "split", names))
    rule = next(check for check in checks if check.check == "split is that of the rule")
    assert not rule.passed
    assert "alphabetical" in rule.note


def test_splits_catches_a_pixel_in_two_splits(tmp_path):
    table = pa.concat_tables([MANIFEST, with_rows(MANIFEST.slice(0, 1), [0], galaxy_id="x", split="other")])
    table = with_rows(table, [table.num_rows - 1], split="test" if table["split"][0].as_py() != "test" else "val")
    assert "no pixel in two splits" in failed(judged(tmp_path, "splits", table))


@pytest.mark.parametrize("bad", [None, float("nan"), -1.0, 7.0])
def test_splits_catches_null_and_nan_pixels(tmp_path, bad):
    pixels = MANIFEST["healpix_128"].to_pylist()
    pixels[3] = bad
    table = changed(MANIFEST, "healpix_128", pa.array(pixels, pa.float64(), from_pandas=False))
    assert "healpix_128 is that of ra, dec" in failed(judged(tmp_path, "splits", table))


@pytest.mark.parametrize("bad", [None, "", "Train"])
def test_splits_catches_a_split_that_is_none(tmp_path, bad):
    assert "split is train, val or test" in failed(judged(tmp_path, "splits", with_rows(MANIFEST, [5], split=bad)))


def test_splits_catches_one_id_in_two_splits(tmp_path):
    other = next(i for i, s in enumerate(MANIFEST["split"].to_pylist()) if s == "test")
    table = with_rows(MANIFEST, [other], galaxy_id=MANIFEST["galaxy_id"][TRAIN_POSITIVE].as_py())
    assert failed(judged(tmp_path, "splits", table)) == ["no galaxy_id in two splits"]


def test_splits_catches_one_object_under_two_ids_in_two_splits(tmp_path):
    ra, dec1, dec2 = border()
    table = moved(moved(MANIFEST, 300, ra, (dec1 + dec2) / 2 - 0.3 / 3600), 301, ra, (dec1 + dec2) / 2 + 0.3 / 3600)
    assert {table["split"][300].as_py(), table["split"][301].as_py()} == {"train", "test"}
    assert "no two rows within 1 arcsec" in failed(judged(tmp_path, "splits", table))


def test_splits_catches_cutouts_that_overlap_across_a_border(tmp_path):
    ra, dec1, dec2 = border()
    near = moved(moved(MANIFEST, 300, ra, dec1 - 10 / 3600), 301, ra, dec2 + 10 / 3600)
    assert "no sky shared by cutouts of two splits" in failed(judged(tmp_path, "splits", near))
    far = moved(moved(MANIFEST, 300, ra, dec1 - 14 / 3600), 301, ra, dec2 + 14 / 3600)
    assert "no sky shared by cutouts of two splits" not in failed(judged(tmp_path, "splits", far))


def test_splits_judges_each_class_apart(tmp_path):
    """All positives in train: few rows among many, invisible in the shares of all rows."""
    label, names = MANIFEST["label"].to_numpy(), np.array(MANIFEST["split"].to_pylist())
    table = MANIFEST.filter(pa.array((label == 0) | (names == "train"))).slice(0)
    assert "val share of positives" in failed(judged(tmp_path, "splits", table))


def test_splits_takes_tables_without_labels(tmp_path):
    label = pc_label(MANIFEST)
    columns = ["galaxy_id", "ra", "dec", "split", "healpix_128"]
    positives = MANIFEST.filter(pa.array(label == 1)).select([*columns, "tier"])
    negatives = MANIFEST.filter(pa.array(label == 0)).select(columns).append_column("pool", pa.array(["N1"] * 1000))
    paths = saved(tmp_path, positives, "p.parquet"), saved(tmp_path, negatives, "n.parquet")
    checks = judge("splits", *paths)
    assert failed(checks) == []
    assert {check.n for check in checks if "share of" in check.check} == {200, 1000, 1200}
    each = [digests.of_table(pq.read_table(path)) for path in paths]
    assert {check.input_digest for check in checks} == {digests.of_many(each)}


def test_splits_judges_a_manifest_by_the_rule_and_limits_of_its_survey(tmp_path):
    table = toy_manifest(survey=WIDE)
    checks = judge_by_survey("splits", saved(tmp_path, table))
    assert failed(checks) == []
    assert next(c.limit for c in checks if c.check == "train share of all rows") == "interval meets 0.55..0.65"
    as_usual = failed(judge_by_survey("splits", saved(tmp_path, table.replace_schema_metadata())))
    assert {"split is that of the rule", "train share of all rows"} <= set(as_usual)
    cut = saved(tmp_path, table)  # a seed that is set does not change the fractions
    assert "split is that of the rule" in failed(judge_by_survey("splits", cut, given=("splits.seed=42",)))


def test_splits_knows_the_alphabetical_order_of_another_survey(tmp_path):
    table = toy_manifest(survey=WIDE)
    names = []
    for pixel in table["healpix_128"].to_pylist():
        u = int.from_bytes(hashlib.sha256(f"{pixel}_7".encode()).digest()[:4], "big") / 2**32
        names.append("test" if u < 0.2 else "train" if u < 0.8 else "val")
    checks = judge_by_survey("splits", saved(tmp_path, changed(table, "split", names)))
    assert "alphabetical" in next(check.note for check in checks if check.check == "split is that of the rule")


def test_splits_keeps_cutouts_of_the_surveys_size_apart(tmp_path):
    ra, dec1, dec2 = border()
    near = moved(moved(MANIFEST, 300, ra, dec1 - 4 / 3600), 301, ra, dec2 + 4 / 3600)  # 10 arcsec apart
    small = dataclasses.replace(LS_DR10, name="small", cutout_size_px=33)  # of 8.6 arcsec
    check = "no sky shared by cutouts of two splits"
    assert check in failed(judge_by_survey("splits", saved(tmp_path, near)))
    assert check not in failed(judge_by_survey("splits", saved(tmp_path, near), survey=small))


def test_splits_keeps_cutouts_apart_by_the_size_the_manifest_recorded(tmp_path):
    ra, dec1, dec2 = border()
    apart = moved(moved(MANIFEST, 300, ra, dec1 - 19 / 3600), 301, ra, dec2 + 19 / 3600)  # 40 arcsec
    large = stamp(apart, (Step("manifest", {"cutout_arcsec": 67.072}),))
    check = "no sky shared by cutouts of two splits"
    assert check not in failed(judged(tmp_path, "splits", apart))
    assert check in failed(judged(tmp_path, "splits", large))
    assert check not in failed(judged(tmp_path, "splits", large, given=("splits.cutout_arcsec=30",)))


def test_splits_catches_one_object_under_two_ids_in_one_split(tmp_path):
    near = MANIFEST["dec"][300].as_py() + 0.9 / 3600
    twin = with_rows(MANIFEST.slice(300, 1), [0], galaxy_id="twin", dec=near)
    checks = judged(tmp_path, "splits", pa.concat_tables([MANIFEST, twin]))
    assert failed(checks) == ["no two rows within 1 arcsec"]
    found = next(check for check in checks if not check.passed)
    assert (found.value, "`lensctl manifest` keeps one" in found.note) == (1, True)
    both = pa.concat_tables([MANIFEST, with_rows(twin, [0], dec=near + 0.2 / 3600)])
    assert failed(judged(tmp_path, "splits", both)) == []


def crowded(pixels, val_pixels, rows=15):
    """Rows in so many pixels each of one split, as if the rule had dealt just so many to val."""
    names = {name: [] for name in split.SPLITS}
    for pixel in range(400 * 64, 400 * 64 + 40 * pixels):
        names[split.split_of(pixel)].append(pixel)
    test = round(0.15 * pixels)
    counts = {"train": pixels - val_pixels - test, "val": val_pixels, "test": test}
    chosen = [pixel for name, count in counts.items() for pixel in names[name][:count]]
    ra, dec = healpy.pix2ang(split.NSIDE, np.repeat(chosen, rows), nest=True, lonlat=True)
    dec = dec + np.tile(np.linspace(-0.07, 0.07, rows), pixels)
    table = toy_manifest(rows * pixels // 2, rows * pixels - rows * pixels // 2)
    order = np.random.default_rng(0).permutation(len(ra))
    pixel = split.healpix(ra[order], dec[order])
    for name, values in (("ra", ra[order]), ("dec", dec[order]), ("healpix_128", pixel)):
        table = changed(table, name, values)
    return changed(table, "split", split.splits_of(pixel))


@pytest.mark.parametrize(
    ("pixels", "val", "passed", "says"),
    [
        (400, 73, True, "outside the limits by its value, but 400 pixels cannot tell"),  # 0.1825: chance
        (400, 110, False, "--set splits.val=LOW,HIGH"),  # 0.275: no chance
        (11, 2, False, "judged by its value: 11 pixels, as good as 11.0 equally full ones, are too few"),
        (7, 1, True, "judged by its value: 7 pixels"),
    ],
)
def test_splits_judges_shares_by_what_its_pixels_can_tell(tmp_path, pixels, val, passed, says):
    checks = judged(tmp_path, "splits", crowded(pixels, val))
    found = next(check for check in checks if check.check == "val share of all rows")
    assert (found.passed, round(found.value, 4)) == (passed, round(val / pixels, 4))
    assert says in found.note
    assert (found.low is None) == (pixels < 12)
    assert found.limit == (">= 0.12, <= 0.18" if pixels < 12 else "interval meets 0.12..0.18")
    assert next(check.passed for check in checks if check.check == "split is that of the rule")


def test_splits_keeps_cutouts_apart_by_the_size_of_their_class(tmp_path):
    ra, dec1, dec2 = border()
    apart = moved(moved(MANIFEST, 300, ra, dec1 - 19 / 3600), 301, ra, dec2 + 19 / 3600)  # two negatives, 40 arcsec
    check = "no sky shared by cutouts of two splits"
    for lenses, others, wrong in ((67.0, 26.5, False), (26.5, 67.0, True)):
        sides = {"positives": lenses, "negatives": others}
        step = Step("manifest", {"cutout_arcsec": 67.0, "cutout_arcsec_by_class": sides})
        assert (check in failed(judged(tmp_path, "splits", stamp(apart, (step,))))) == wrong
