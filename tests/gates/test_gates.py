"""Every gate passes what it should, and is seen to fail: on spoiled input and on nothing."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.gates import blocks, registry
from lensctl.gates import pixels as pixels_gate
from lensctl.gates.inputs import Inputs
from lensctl.io.cutouts import npz
from lensctl.io.cutouts.store import open_store
from lensctl.io.provenance import digests
from lensctl.rules import quality, split
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError
from tests.toys.manifests import border, changed, evaluation, moved, toy_manifest, with_rows, with_store


def judge(name, *paths, given=(), root=None):
    gate = registry.find(name)
    settings = registry.settings_for([gate], given)[name]
    return list(registry.run(gate, Inputs([str(path) for path in paths], root), settings))


def failed(checks):
    return [check.check for check in checks if not check.passed]


def saved(tmp_path, table, name="manifest.parquet"):
    pq.write_table(table, tmp_path / name)
    return tmp_path / name


def judged(tmp_path, name, table, given=()):
    return judge(name, saved(tmp_path, table), given=given)


MANIFEST = toy_manifest()
TRAIN_POSITIVE = next(
    i
    for i, (s, y) in enumerate(zip(MANIFEST["split"].to_pylist(), MANIFEST["label"].to_pylist(), strict=True))
    if y and s == "train"
)


# splits


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


@pytest.mark.parametrize("bad", [None, float("nan"), -1.0, 7.5])
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
    assert "no object within 1 arcsec in two splits" in failed(judged(tmp_path, "splits", table))


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


def pc_label(table):
    return table["label"].to_numpy()


# overlap


def test_overlap_passes_and_catches_both_kinds(tmp_path):
    assert failed(judged(tmp_path, "overlap", MANIFEST)) == []
    same = with_rows(MANIFEST, [250], galaxy_id=MANIFEST["galaxy_id"][0].as_py())
    assert failed(judged(tmp_path, "overlap", same)) == ["no id is positive and negative"]
    ra, dec = MANIFEST["ra"][0].as_py(), MANIFEST["dec"][0].as_py()
    for arcsec, wrong in ((10.99, True), (11.01, False)):
        near = with_rows(MANIFEST, [250], ra=ra, dec=dec + arcsec / 3600)
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


# weights


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"tier": "A", "sample_weight": 0.5}, "tier A weighs 1"),
        ({"tier": "B", "sample_weight": 1.0}, "tier B weighs 0.3 to 0.6"),
        ({"tier": "B", "sample_weight": 0.29}, "tier B weighs 0.3 to 0.6"),
        ({"tier": "B", "sample_weight": 0.0}, "weight is finite and positive"),
        ({"tier": "B", "sample_weight": -0.5}, "weight is finite and positive"),
        ({"tier": "B", "sample_weight": math.nan}, "weight is finite and positive"),
        ({"tier": "B", "sample_weight": None}, "weight is finite and positive"),
        ({"tier": "A", "sample_weight": math.inf}, "weight is finite and positive"),
        ({"tier": "N1", "sample_weight": 1.0}, "tier fits the label: A, B for 1, N1, N2 for 0"),
        ({"tier": None}, "tier fits the label: A, B for 1, N1, N2 for 0"),
        ({"label": 0, "tier": "N1", "sample_weight": 0.5}, "negatives weigh 1"),
        ({"label": 2}, "label is 0 or 1"),
        ({"label": None}, "label is 0 or 1"),
    ],
)
def test_weights_catches(tmp_path, change, check):
    assert failed(judged(tmp_path, "weights", MANIFEST)) == []
    assert check in failed(judged(tmp_path, "weights", with_rows(MANIFEST, [1], **change)))


def test_weights_allows_the_limits_in_single_precision(tmp_path):
    for weight in (0.3, 0.6):
        table = with_rows(MANIFEST, [1, 2, 3], tier="B", sample_weight=weight)
        table = changed(table, "sample_weight", table["sample_weight"].cast(pa.float32()).combine_chunks())
        assert failed(judged(tmp_path, "weights", table)) == []


@pytest.mark.parametrize("label", [0, 1])
def test_weights_wants_both_classes(tmp_path, label):
    one = MANIFEST.filter(pa.array(pc_label(MANIFEST) == label))
    assert len(failed(judged(tmp_path, "weights", one))) == 1


# pool


def toy_pool(n=4000):
    table = toy_manifest(0, n)
    pool = np.where(np.arange(n) % 5 == 0, "N2", "N1")
    return table.append_column("pool", pa.array(pool, pa.string()))


POOL = toy_pool()
SMALL = ("pool.min_rows=1000",)


def test_pool_passes_and_its_limits_can_be_set(tmp_path):
    assert failed(judged(tmp_path, "pool", POOL)) == ["rows to judge"]
    checks = judged(tmp_path, "pool", POOL, SMALL)
    assert failed(checks) == []
    assert failed(judged(tmp_path, "pool", POOL, (*SMALL, "pool.n2=0.21,0.3"))) == ["N2 share"]
    assert {check.input_digest.split(":")[0] for check in checks} == {"parquet-footer-sha256"}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"galaxy_id": "twice"}, "galaxy_id is unique"),
        ({"split": None}, "no nulls in critical columns"),
        ({"dec": math.nan}, "no nulls in critical columns"),
        ({"type": None}, "no nulls in critical columns"),
        ({"split": "val"}, "split is that of the rule"),
        ({"healpix_128": 7}, "healpix_128 is that of ra, dec"),
        ({"ra": 400.0}, "healpix_128 is that of ra, dec"),
        ({"pool": "N3"}, "the rest is N1"),
    ],
)
def test_pool_catches(tmp_path, change, check):
    train = [i for i, name in enumerate(POOL["split"].to_pylist()) if name == "train"][:2]
    assert check in failed(judged(tmp_path, "pool", with_rows(POOL, train, **change), SMALL))


def test_pool_catches_shares_and_types(tmp_path):
    names = np.array(POOL["split"].to_pylist())
    kinds = np.array(POOL["type"].to_pylist())
    assert "val share" in failed(judged(tmp_path, "pool", POOL.filter(pa.array(names != "val")), SMALL))
    assert "galaxy types" in failed(judged(tmp_path, "pool", POOL.filter(pa.array(kinds != "REX")), SMALL))
    all_n1 = changed(POOL, "pool", ["N1"] * POOL.num_rows)
    assert "N2 share" in failed(judged(tmp_path, "pool", all_n1, SMALL))


def test_pool_says_no_to_nan_pixels_rather_than_breaking(tmp_path):
    pixels = POOL["healpix_128"].to_numpy().astype(float)
    pixels[7] = math.nan
    table = changed(POOL, "healpix_128", pa.array(pixels, from_pandas=False))
    assert {"no nulls in critical columns", "split is that of the rule", "healpix_128 is that of ra, dec"} <= set(
        failed(judged(tmp_path, "pool", table, SMALL))
    )


# trained


def judge_evaluation(tmp_path, given=(), **changes):
    (tmp_path / "metrics.json").write_text(json.dumps(evaluation(**changes)))
    return judge("trained", tmp_path, given=given)


def figure(value, **others):
    return {"value": value, "low": None, "high": None, "n": 58, "events": 40, **others}


def test_trained_passes_mvp(tmp_path):
    checks = judge_evaluation(tmp_path)
    assert failed(checks) == []
    assert {check.input_digest for check in checks} == {digests.of_file(tmp_path / "metrics.json")}


@pytest.mark.parametrize(
    "changes",
    [
        {"tier_a_recall": figure(0.74)},
        {"tier_a_recall": figure(None, n=0)},
        {"tier_a_recall": figure(math.nan)},
        {"tier_a_auc": figure(0.89)},
        {"contaminant_fpr": figure(0.11, worst_category="ring_proxy")},
        {"ece_equal_width": 0.11},
        {"ece_equal_mass": 0.11},
        {"ece_positive": figure(0.11)},
        {"ece_positive": figure(None)},
        {"nan_scores": 1},
        {"collapsed": True},
    ],
)
def test_trained_catches(tmp_path, changes):
    assert failed(judge_evaluation(tmp_path, **changes))


def test_trained_judges_recall_alone_at_level_publication(tmp_path):
    poor = {"tier_a_auc": figure(0.5), "ece_equal_width": 0.5}
    publication = ("trained.level=publication",)
    assert failed(judge_evaluation(tmp_path, publication, **poor)) == []
    assert failed(judge_evaluation(tmp_path, publication, tier_a_recall=figure(0.84)))
    assert failed(judge_evaluation(tmp_path, (*publication, "trained.min_auc=0.9"), **poor)) == ["tier-A AUC"]


def test_trained_says_whether_the_limit_lies_inside_the_interval_and_how_few_events_decide(tmp_path):
    notes = {
        check.check: check.note for check in judge_evaluation(tmp_path, tier_a_recall=figure(0.8, low=0.6, high=0.9))
    }
    assert "limit lies inside the interval" in notes["tier-A recall at p = 0.5 (mvp)"]
    notes = {c.check: c.note for c in judge_evaluation(tmp_path, contaminant_fpr=figure(0.01, events=7))}
    assert "rests on 7 events" in notes["contaminant FPR, worst category"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"headline": {}}', '{"headline": {"nan_scores": 0}}'])
def test_trained_needs_an_evaluation(tmp_path, text):
    if text:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(InputError):
        judge("trained", tmp_path)


# pixels

CUTOUTS = toy_manifest(6, 14)
NOISE = np.random.default_rng(0).normal(0.02, 0.1, (20, 101, 101, 3)).astype(np.float32)


def judge_pixels(tmp_path, pixels, given=(), table=CUTOUTS, **facts):
    path = with_store(tmp_path, table, pixels, **facts)
    checks = judge("pixels", path, given=given)
    on_store = judge("pixels", tmp_path / "cutouts.zarr", given=given)
    assert [(c.check, c.passed, c.value, c.offenders) for c in on_store] == [
        (c.check, c.passed, c.value, c.offenders) for c in checks
    ]
    assert {c.input_digest for c in on_store} == {open_store(tmp_path / "cutouts.zarr").digest}
    assert {c.input_digest for c in checks} == {digests.of_table(pq.read_table(path))}
    return checks


def test_pixels_passes_whole_cutouts_and_reports_nan_outside_the_centre(tmp_path):
    pixels = NOISE.copy()
    pixels[3, 0, 0, 1] = np.nan
    checks = judge_pixels(tmp_path, pixels)
    assert failed(checks) == []
    assert next(check.value for check in checks if check.check == "cutouts with NaN anywhere") == 1


@pytest.mark.parametrize(("crop", "wrong"), [(64, False), (95, True), (101, True)])
def test_pixels_judges_the_crop_that_trains(tmp_path, crop, wrong):
    pixels = NOISE.copy()
    pixels[3, 4, 50, 1] = np.nan
    found = failed(judge_pixels(tmp_path, pixels, (f"pixels.crop={crop}",)))
    assert found == ([f"cutouts with NaN in the central {crop} px"] if wrong else [])


def test_pixels_limits_the_share_marked_as_failed(tmp_path):
    pixels = NOISE.copy()
    pixels[3, 50, 50, 1] = np.nan
    pixels[4, :, :, 2] = 0
    checks = judge_pixels(tmp_path, pixels)
    assert failed(checks) == ["share marked as failed"]
    share = next(check for check in checks if check.check == "share marked as failed")
    assert share.value == 0.1
    assert share.note.startswith("missing_band: 1, nan_center: 1")


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        ((3, 50, 50, 1, np.nan), "cutouts with NaN in the centre"),
        ((3, 0, 0, 1, np.inf), "cutouts with an infinite pixel"),
        ((3, slice(None), slice(None), 2, 0.0), "cutouts with a missing band"),
        ((3, slice(None), slice(None), 2, np.nan), "cutouts with a missing band"),
    ],
)
def test_pixels_does_not_believe_the_flags(tmp_path, spoil, check):
    pixels = NOISE.copy()
    pixels[spoil[:4]] = spoil[4]
    checks = judge_pixels(tmp_path, pixels, cutout_ok=[True] * 20, status=["ok"] * 20)
    assert check in failed(checks)
    assert CUTOUTS["galaxy_id"][3].as_py() in next(c.offenders for c in checks if c.check == check)


@pytest.mark.parametrize("seed", range(4))
def test_pixels_finds_by_a_glance_what_measuring_every_cutout_finds(seed):
    rng = np.random.default_rng(seed)
    images = NOISE[rng.integers(0, 20, 48)].copy()
    faults = (np.nan, np.inf, -np.inf, 0.0, 3e38)
    for i in rng.choice(48, 30, replace=False):
        value, band = rng.choice(faults), rng.integers(0, 3)
        if rng.random() < 0.5:
            images[i, :, :, band] = value
        else:
            y, x = rng.integers(0, 101, 2)
            images[i, y : y + 1 + rng.integers(0, 30), x : x + 1 + rng.integers(0, 30), band] = value
    found = {name: set(at.tolist()) for name, at in pixels_gate._strange(images, 64).items()}
    with np.errstate(all="ignore"):
        measured = quality.measure(images)
    middle = quality.central(101)
    centre, crop = images[:, middle, middle].reshape(48, -1), images[:, 18:82, 18:82].reshape(48, -1)
    assert found == {
        "cutouts with a missing band": set(np.flatnonzero(measured["status"] == "missing_band")),
        "cutouts with NaN in the centre": set(np.flatnonzero(np.isnan(centre).any(axis=1))),
        "cutouts with an infinite pixel": set(np.flatnonzero(np.isinf(images).reshape(48, -1).any(axis=1))),
        "cutouts with NaN anywhere": set(np.flatnonzero(np.isnan(images).reshape(48, -1).any(axis=1))),
        "cutouts with NaN in the central 64 px": set(np.flatnonzero(~np.isfinite(crop).all(axis=1))),
    }
    assert all(found.values())


def test_pixels_catches_another_shape(tmp_path):
    assert failed(judge_pixels(tmp_path, NOISE[:, :64, :64])) == ["cutouts of another shape"]


def test_pixels_catches_pixels_that_have_changed_since(tmp_path):
    told = quality.fingerprints(NOISE)
    told[7] = told[8]
    checks = judge_pixels(tmp_path, NOISE, cutout_sha256=told)
    assert failed(checks) == ["cutouts whose pixels have changed"]
    told[7] = None
    (tmp_path / "unknown").mkdir()
    assert failed(judge_pixels(tmp_path / "unknown", NOISE, cutout_sha256=told)) == [
        "cutouts without a recorded SHA-256"
    ]


def test_pixels_reads_single_files_each_of_its_own_shape(tmp_path):
    for i, name in enumerate(CUTOUTS["galaxy_id"].to_pylist()):
        side = 64 if i == 5 else 101
        meta = {"meta_galaxy_id": np.array(name), "meta_ra": np.array(1.0), "meta_dec": np.array(2.0)}
        npz.write_npz(tmp_path / f"{name}.npz", NOISE[i, :side, :side], meta)
    table = changed(CUTOUTS, "cutout_path", [f"{name}.npz" for name in CUTOUTS["galaxy_id"].to_pylist()])
    table = changed(table, "cutout_index", pa.nulls(20, pa.int64()))
    checks = judged(tmp_path, "pixels", table)
    assert failed(checks) == ["cutouts of another shape"]
    assert next(c.offenders for c in checks if not c.passed) == (CUTOUTS["galaxy_id"][5].as_py(),)


def test_pixels_of_a_manifest_on_stdin_need_a_root(tmp_path, monkeypatch):
    import io
    import types

    path = with_store(tmp_path, CUTOUTS, NOISE)
    stream = io.BytesIO()
    table = pq.read_table(path)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    for root in (None, tmp_path):
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(stream.getvalue())))
        if root is None:
            with pytest.raises(InputError, match="relative to nothing"):
                judge("pixels", "-", root=root)
        else:
            assert failed(judge("pixels", "-", root=root)) == []


# homogeneity


def judge_facts(tmp_path, table=CUTOUTS, **facts):
    return judge("homogeneity", with_store(tmp_path, table, NOISE[:, :9, :9], **facts))


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


def test_homogeneity_passes_over_failed_cutouts(tmp_path):
    ok = [True] * 20
    ok[3] = False
    source = ["coadd"] * 20
    source[3] = "viewer"
    assert failed(judge_facts(tmp_path, source=source, cutout_ok=ok)) == []


# blocks


def test_blocks_come_back_in_order_and_only_a_few_are_under_way_at_a_time(monkeypatch):
    monkeypatch.setattr(blocks, "cores", lambda: 3)
    taken, at_once, most, lock = [], 0, 0, threading.Lock()

    def ask():
        for k in range(20):
            taken.append(k)
            yield np.array([k])

    def look(block):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002 * (block[0] % 3))
        with lock:
            at_once -= 1
        return int(block[0])

    for k, (block, found) in enumerate(blocks.looked_at(ask(), look)):
        assert block[0] == found == k
        assert len(taken) <= k + 4
    assert k == 19
    assert 1 < most <= 3


def test_a_block_that_cannot_be_read_ends_it_with_its_own_words():
    def look(block):
        if block[0] == 3:
            raise InputError("shard 3 is damaged", "copy it again")
        return block[0]

    with pytest.raises(InputError, match="shard 3 is damaged"):
        list(blocks.looked_at((np.array([k]) for k in range(1000)), look))


# every gate


def nothing(tmp_path, name):
    if name == "trained":
        none = figure(None, n=0, events=0)
        return judge_evaluation(tmp_path, tier_a_recall=none, tier_a_auc=none, contaminant_fpr=none)
    return judged(tmp_path, name, (POOL if name == "pool" else MANIFEST).slice(0, 0))


def spoiled(tmp_path, name):
    """Each gate's own fault; a gate without one is a KeyError."""
    return {
        "pool": lambda: judged(tmp_path, name, with_rows(POOL, [0], pool=None), SMALL),
        "splits": lambda: judged(tmp_path, name, with_rows(MANIFEST, [0], split=None)),
        "overlap": lambda: judged(
            tmp_path, name, with_rows(MANIFEST, [999], galaxy_id=MANIFEST["galaxy_id"][0].as_py())
        ),
        "weights": lambda: judged(tmp_path, name, with_rows(MANIFEST, [0], sample_weight=2.0)),
        "trained": lambda: judge_evaluation(tmp_path, collapsed=True),
        "pixels": lambda: judge("pixels", with_store(tmp_path, CUTOUTS, NOISE[:, :9, :9])),
        "homogeneity": lambda: judge_facts(tmp_path, source=["viewer"] + ["coadd"] * 19),
        "shortcut": lambda: judge("shortcut", with_store(tmp_path, CUTOUTS, NOISE)),
    }[name]()


EVERY = registry.BUILT_IN


@pytest.mark.parametrize("name", EVERY)
def test_every_gate_fails_on_spoiled_input(tmp_path, name):
    checks = spoiled(tmp_path, name)
    assert failed(checks)
    assert all(check.gate == name and check.input_digest for check in checks)


@pytest.mark.parametrize("name", EVERY)
def test_every_gate_fails_on_nothing(tmp_path, name):
    assert failed(nothing(tmp_path, name))


@pytest.mark.parametrize("name", EVERY)
def test_the_same_input_gives_the_same_bytes(tmp_path, name):
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    first, second = ([check.as_json() for check in spoiled(tmp_path / folder, name)] for folder in "12")
    assert first == second
    keys = ["gate", "check", "passed", "value", "low", "high", "limit", "n", "offenders", "input_digest"]
    assert all(list(json.loads(line))[:10] == keys for line in first)


@pytest.mark.parametrize("name", ["pool", "splits", "overlap", "weights"])
def test_a_missing_column_cannot_be_judged(tmp_path, name):
    needed = "healpix_128" if name in ("pool", "splits") else "sample_weight" if name == "weights" else "ra"
    table = POOL if name == "pool" else MANIFEST
    with pytest.raises(InputError, match=needed):
        judged(tmp_path, name, table.drop_columns([needed]))


@pytest.mark.parametrize("name", ["splits", "overlap"])
@pytest.mark.parametrize("bad", [{"ra": math.nan}, {"dec": None}, {"ra": 360.5}, {"dec": -90.5}])
def test_a_position_that_is_none_cannot_be_judged(tmp_path, name, bad):
    with pytest.raises(InputError, match="row 4|row"):
        judged(tmp_path, name, with_rows(MANIFEST, [4], **bad))


# settings and plug-ins


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split.train=0.6,0.8", "did you mean 'splits'"),
        ("splits.trian=0.6,0.8", "did you mean 'train'"),
        ("splits.train=0.6", "setting splits.train is '0.6'"),
        ("splits.train=a,b", "setting splits.train"),
        ("splits.train=0.8,0.6", "setting splits.train is '0.8,0.6'"),
        ("splits.seed=1.5", "setting splits.seed"),
        ("overlap.radius_arcsec=nan", "setting overlap.radius_arcsec"),
        ("trained.level=best", "setting trained.level"),
        ("shortcut.partners=0", "setting shortcut.partners is '0'"),
        ("shortcut.folds=1", "setting shortcut.folds is '1'"),
        ("shortcut.nobs_z=1", "setting shortcut.nobs_z is '1'"),
        ("overlap.radius_arcsec=-1", "setting overlap.radius_arcsec is '-1'"),
        ("pixels.crop=-2", "setting pixels.crop is '-2'"),
        ("splits.train", "not gate.key=value"),
        ("train=1", "not gate.key=value"),
    ],
)
def test_a_setting_that_is_none_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        registry.settings_for([registry.find("weights")], [text])


def test_settings_of_other_gates_are_checked_and_passed_over():
    gate = registry.find("weights")
    assert registry.settings_for([gate], ["splits.train=0.5,0.9"])["weights"] == gate.settings()
    assert registry.settings_for([gate], ["weights.tier_a=2", "weights.tier_a=3"])["weights"].tier_a == 3.0


def test_a_gate_that_makes_no_check_has_not_passed(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_GATES", dict(registry._GATES))

    @registry.gate("idle")
    def idle(inputs, settings):
        """Nothing."""
        yield from ()

    assert failed(judged(tmp_path, "idle", MANIFEST)) == ["checks made"]


def test_a_plug_in_cannot_take_a_gates_name():
    registry.find("weights")
    with pytest.raises(InputError, match=r"one in lensctl\.gates\.weights and one in tests\.test_gates"):
        registry.gate("weights")(lambda inputs, settings: iter(()))


@pytest.mark.parametrize("name", ["", "list", "a,b", "a.b", "a b"])
def test_a_gate_has_a_name_that_can_be_typed(name):
    with pytest.raises(InputError, match="no gate can be named"):
        registry.gate(name)


def test_a_gate_cannot_speak_for_another(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_GATES", dict(registry._GATES))

    @registry.gate("forger")
    def forger(inputs, settings):
        """Nothing."""
        yield Check("pool", "all well", True, 1, input_digest="sha256:other")

    (check,) = judged(tmp_path, "forger", MANIFEST)
    assert (check.gate, check.input_digest) == ("forger", digests.of_table(MANIFEST))
