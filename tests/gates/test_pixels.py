"""The pixels gate measures every good cutout anew and believes no flag."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.gates import pixels as pixels_gate
from lensctl.io.cutouts import npz
from lensctl.io.cutouts.store import open_store
from lensctl.io.provenance import digests
from lensctl.rules import quality
from tests.gates.of_survey import judge_by_survey
from tests.toys.judging import CUTOUTS, NOISE, failed, judge, judged
from tests.toys.manifests import changed, store_of, toy_manifest, with_store, without_empty_columns
from tests.toys.surveys import WIDE


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
        ((3, slice(0, 50), slice(None), 1, 0.0), "cutouts that are half empty"),
        ((3, slice(18, 22), slice(None), 2, np.nan), "cutouts that are half empty"),
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
    faults = pixels_gate._pixel_faults(images, pixels_gate.Settings(crop=64))
    found = {name: set(at.tolist()) for name, at in faults.items()}
    with np.errstate(all="ignore"):
        measured = quality.measure(images, "grz")
    middle = quality.central(101)
    centre, crop = images[:, middle, middle].reshape(48, -1), images[:, 18:82, 18:82].reshape(48, -1)
    assert found == {
        "cutouts with a missing band": set(np.flatnonzero(measured["status"] == "missing_band")),
        "cutouts with NaN in the centre": set(np.flatnonzero(np.isnan(centre).any(axis=1))),
        "cutouts that are half empty": set(np.flatnonzero(measured["status"] == "half_empty")),
        "cutouts with an infinite pixel": set(np.flatnonzero(np.isinf(images).reshape(48, -1).any(axis=1))),
        "cutouts with NaN anywhere": set(np.flatnonzero(np.isnan(images).reshape(48, -1).any(axis=1))),
        "cutouts with NaN in the central 64 px": set(np.flatnonzero(~np.isfinite(crop).all(axis=1))),
    }
    assert all(found.values())


@pytest.mark.parametrize(("max_empty", "wrong"), [("0.04", True), ("0.05", False)])
def test_pixels_lets_as_much_be_empty_as_it_is_told(tmp_path, max_empty, wrong):
    pixels = NOISE.copy()
    pixels[3, 18:21, :, 0] = 0.0  # 3 of 64 rows
    found = failed(judge_pixels(tmp_path, pixels, (f"pixels.max_empty={max_empty}",)))
    assert found == ["cutouts that are half empty"] * wrong


def test_pixels_measures_the_cutouts_of_a_store_that_says_nothing_of_empty_ones(tmp_path):
    """An earlier version wrote no zero_pixel_frac, and called a cutout ok that is zero in half its pixels."""
    pixels = NOISE.copy()
    pixels[3, :50, :, 1] = 0.0
    path = with_store(tmp_path, CUTOUTS, pixels, cutout_ok=[True] * 20, status=["ok"] * 20)
    without_empty_columns(tmp_path / "cutouts.zarr")
    assert not open_store(tmp_path / "cutouts.zarr").knows_empty
    for judged_path in (path, tmp_path / "cutouts.zarr"):
        checks = judge("pixels", judged_path)
        assert failed(checks) == ["cutouts that are half empty"]
        assert next(c.offenders for c in checks if not c.passed) == (CUTOUTS["galaxy_id"][3].as_py(),)


def test_pixels_says_no_to_stores_of_two_sizes_rather_than_stop(tmp_path):
    """Positives of 101 px and negatives of 64 are a fault of the data, not an error."""
    parts = []
    for name, label, size in (("large", 1, 101), ("small", 0, 64)):
        rows = CUTOUTS.filter(pa.array(CUTOUTS["label"].to_numpy() == label))
        store_of(tmp_path / f"{name}.zarr", rows, NOISE[: rows.num_rows, :size, :size])
        rows = changed(rows, "cutout_path", [f"{name}.zarr"] * rows.num_rows)
        parts.append(changed(rows, "cutout_index", np.arange(rows.num_rows)))
    checks = judged(tmp_path, "pixels", pa.concat_tables(parts).sort_by("galaxy_id"))
    assert failed(checks) == ["cutouts of another shape"]
    assert next(c.value for c in checks if not c.passed) == 14


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
    for i, row in enumerate(CUTOUTS.to_pylist()):
        side, name = 64 if i == 5 else 101, row["galaxy_id"]
        meta = {f"meta_{key}": np.array(row[key]) for key in ("galaxy_id", "ra", "dec")}
        npz.write_npz(tmp_path / f"{name}.npz", NOISE[i, :side, :side], meta)
    table = changed(CUTOUTS, "cutout_path", [f"{name}.npz" for name in CUTOUTS["galaxy_id"].to_pylist()])
    table = changed(table, "cutout_index", pa.nulls(20, pa.int64()))
    checks = judged(tmp_path, "pixels", table)
    assert failed(checks) == ["cutouts of another shape"]
    assert next(c.offenders for c in checks if not c.passed) == (CUTOUTS["galaxy_id"][5].as_py(),)


def test_pixels_wants_the_size_and_the_bands_of_the_survey(tmp_path):
    table = toy_manifest(6, 14, survey=WIDE)
    pixels = np.random.default_rng(0).normal(0.02, 0.1, (20, 96, 96, 4)).astype(np.float32)
    manifest = with_store(tmp_path, table, pixels)
    for path in (manifest, tmp_path / "cutouts.zarr"):
        assert failed(judge_by_survey("pixels", path)) == []
    bare = pq.read_table(manifest).replace_schema_metadata()
    pq.write_table(bare, tmp_path / "bare.parquet")
    assert failed(judge_by_survey("pixels", tmp_path / "bare.parquet", given=("pixels.size=96",))) == [
        "cutouts of another shape"
    ]
    assert failed(judge_by_survey("pixels", tmp_path / "bare.parquet", survey=WIDE)) == []
    (tmp_path / "gap").mkdir()
    pixels[3, :, :, 3] = 0.0
    gap = with_store(tmp_path / "gap", table, pixels, cutout_ok=[True] * 20, status=["ok"] * 20)
    assert failed(judge_by_survey("pixels", gap)) == ["cutouts with a missing band"]
