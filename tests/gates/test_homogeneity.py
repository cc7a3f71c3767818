"""The homogeneity gate catches cutouts of two origins, within a class and between them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.cutouts import npz
from lensctl.io.provenance.steps import Step, stamp
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from tests.toys.judging import CUTOUTS, NOISE, failed, judge_facts, judged
from tests.toys.manifests import changed, store_of


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


def test_homogeneity_passes_over_failed_cutouts(tmp_path):
    ok = [True] * 20
    ok[3] = False
    source = ["coadd"] * 20
    source[3] = "viewer"
    assert failed(judge_facts(tmp_path, source=source, cutout_ok=ok)) == []


def two_stores(folder, **others):
    """A manifest of two stores: positives as usual, negatives of another survey or size; without provenance."""
    parts = []
    for name, label in (("positives", 1), ("negatives", 0)):
        survey, size = (others.get("survey", LS_DR10), others.get("size", 9)) if not label else (LS_DR10, 9)
        rows = CUTOUTS.filter(pa.array(CUTOUTS["label"].to_numpy() == label)).replace_schema_metadata()
        made = stamp(rows, (Step("sample", {}, survey=survey),))
        pixels = np.random.default_rng(label).normal(0, 1, (rows.num_rows, size, size, len(survey.bands)))
        scale = 0.262 if label else others.get("scale", 0.262)
        facts = {"layer": ["ls-dr10"] * rows.num_rows, "pixel_scale_arcsec": [scale] * rows.num_rows}
        store_of(folder / f"{name}.zarr", made, pixels.astype(np.float32), **facts)
        rows = changed(rows, "cutout_path", [f"{name}.zarr"] * rows.num_rows)
        parts.append(changed(rows, "cutout_index", np.arange(rows.num_rows)))
    return pa.concat_tables(parts).sort_by("galaxy_id")


@pytest.mark.parametrize(
    ("others", "wrong", "said"),
    [
        ({}, [], ""),
        ({"size": 11}, ["one size in pixels"], "11: 0 positives, 14 negatives"),
        ({"scale": 0.4}, ["one pixel scale"], "0.4: 0 positives, 14 negatives"),
        (
            {"survey": LS_DR10_GRIZ},
            ["one survey of the cutouts", "one set of bands"],
            "ls-dr10-griz: 0 positives, 14 negatives",
        ),
        (
            {"survey": dataclasses.replace(LS_DR10, exclude_arcsec=12.0)},
            ["one survey of the cutouts"],
            "ls-dr10, version 2: 0 positives, 14 negatives",
        ),
    ],
)
def test_homogeneity_knows_survey_bands_size_and_scale_from_the_stores(tmp_path, others, wrong, said):
    checks = judged(tmp_path, "homogeneity", two_stores(tmp_path, **others))
    assert failed(checks) == wrong
    assert not wrong or said in next(c.offenders for c in checks if not c.passed)


def test_homogeneity_knows_the_size_of_single_files(tmp_path):
    for i, row in enumerate(CUTOUTS.to_pylist()):
        meta = {f"meta_{key}": np.array(row[key]) for key in ("galaxy_id", "ra", "dec")}
        side = 7 if row["label"] else 9
        npz.write_npz(tmp_path / f"{row['galaxy_id']}.npz", NOISE[i, :side, :side], meta)
    table = changed(CUTOUTS, "cutout_path", [f"{name}.npz" for name in CUTOUTS["galaxy_id"].to_pylist()])
    table = changed(table, "cutout_index", pa.nulls(20, pa.int64()))
    assert failed(judged(tmp_path, "homogeneity", table)) == ["one size in pixels"]


def test_homogeneity_knows_north_and_south_by_the_survey_of_the_store(tmp_path):
    """A manifest that names no survey, of stores whose survey has a north of its own."""
    own = dataclasses.replace(LS_DR10, name="own", layer="own", northern_layer="own-north", north_dec_deg=10.0)
    places = {"ra": [200.0] * 20, "dec": [20.0 if i % 2 else 5.0 for i in range(20)]}
    table = CUTOUTS
    for name, values in places.items():
        table = changed(table, name, values)
    made = stamp(table, (Step("sample", {}, survey=own),))
    store_of(tmp_path / "cutouts.zarr", made, NOISE[:, :9, :9], layer=["own"] * 20)
    assert failed(judged(tmp_path, "homogeneity", table.replace_schema_metadata())) == ["one survey"]
