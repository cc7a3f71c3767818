"""Every subset of splits, classes, tiers and columns that makes sense is evaluated, drawn and written to the end."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.report import folder, plots
from lensctl.rules.errors import InputError
from tests.evaluate.toys import column
from tests.toys.cases import first
from tests.toys.scores import restamped, toy_scores

SKY = Choices(rounds=100, top=5, prevalence=1e-3)
OPTIONAL = (
    *("type", "nobs_z_bin", "psfsize_z", "psfdepth_z", "confuser_category", "ref", "sampling_weight", "ra", "dec"),
    *("logit_0", "sample_weight", "flux_z"),
)


@pytest.fixture(scope="module")
def small():
    return toy_scores(200, 800)


def whole(table, tmp_path, draw=("roc",)):
    """Evaluate, draw and write; the metrics as they were written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "PLOTS", {name: plots.PLOTS[name] for name in draw})
        out = tmp_path / "out"
        out.mkdir(parents=True)
        folder.write(evaluation_of(restamped(table), SKY), out, None)
    return json.loads((out / "metrics.json").read_text())


def kept(table, mask):
    return table.filter(pa.array(np.asarray(mask, bool)))


@pytest.mark.parametrize("splits", [("val", "test"), ("train", "val", "test")])
def test_val_and_test_are_enough(small, tmp_path, splits):
    """Without train it ended with 3."""
    found = whole(kept(small, np.isin(column(small, "split"), splits)), tmp_path, tuple(plots.PLOTS))
    assert set(found["rows"]) == set(splits)
    assert (found["generalisation"]["train_minus_test"]["value"] is None) == ("train" not in splits)


@pytest.mark.parametrize("splits", [("train",), ("val",), ("test",), ("train", "test"), ("train", "val")])
def test_fewer_are_refused_in_a_sentence(small, tmp_path, splits):
    with pytest.raises(InputError, match="no scored row has split"):
        whole(kept(small, np.isin(column(small, "split"), splits)), tmp_path)


CLASSES = {"both": (0, 1), "lenses": (1,), "others": (0,)}


@pytest.mark.parametrize(
    ("val", "test"), first(4, sorted(itertools.product(CLASSES, CLASSES), key=lambda pair: pair[0] != pair[1]))
)
def test_either_class_may_be_missing_in_either_split(small, tmp_path, val, test):
    split, label = column(small, "split"), small["label"].to_numpy()
    mask = ((split == "val") & np.isin(label, CLASSES[val])) | ((split == "test") & np.isin(label, CLASSES[test]))
    found = whole(kept(small, mask), tmp_path, tuple(plots.PLOTS) if val == test else ("roc",))
    assert (found["calibration"]["slope"] is None) == (val != "both")
    assert (found["headline"]["test_auc"]["value"] is None) == (test != "both")
    assert found["levels"]["mvp"]["verdict"] != "reached"


TIERS = [tiers for count in (2, 3) for tiers in itertools.combinations(("A", "B", "N1", "N2"), count)]


@pytest.mark.parametrize("tiers", first(4, ((tiers,) for tiers in TIERS)), ids="-".join)
def test_any_tier_may_be_missing(small, tmp_path, tiers):
    found = whole(kept(small, np.isin(column(small, "tier"), tiers)), tmp_path)
    assert (found["headline"]["tier_a_recall"]["value"] is None) == ("A" not in tiers)
    assert (found["headline"]["contaminant_fpr"]["value"] is None) == ("N2" not in tiers)


@pytest.mark.parametrize("missing", first(4, ((names,) for names in (OPTIONAL, *zip(OPTIONAL)))), ids="-".join)
def test_any_column_that_only_describes_may_be_missing(small, tmp_path, missing):
    known = [name for name in missing if name in small.column_names]
    found = whole(small.drop_columns(known), tmp_path, ("roc", "recall_by_stratum"))
    assert found["headline"]["test_auc"]["value"] > 0.9


@pytest.mark.parametrize("rows", first(1, (1, 2, 3)))
def test_a_handful_of_rows_has_figures_without_intervals(small, tmp_path, rows):
    split, label = column(small, "split"), small["label"].to_numpy()
    mask = np.zeros(len(small), bool)
    for name, kind in itertools.product(("val", "test"), (0, 1)):
        mask[np.flatnonzero((split == name) & (label == kind))[:rows]] = True
    found = whole(kept(small, mask), tmp_path, tuple(plots.PLOTS))
    assert found["headline"]["fpr"]["low"] is None
    assert found["headline"]["fpr"]["why"].startswith("no interval")
