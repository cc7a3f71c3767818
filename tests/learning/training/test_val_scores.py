"""A run keeps the scores that its thresholds come from: the same rows and numbers as `score` and `evaluate` give."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.given_thresholds import read_thresholds
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table
from lensctl.learning.data import row_selection
from lensctl.learning.networks import checkpoint
from lensctl.learning.training.settings import TrainConfig
from lensctl.learning.training.val_scores import rows_of_val
from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.train.fitting import fit
from tests.toys import damage, frozen, rings
from tests.toys.pixels import make_store
from tests.toys.rings import changed

SMALL = TrainConfig(arch="resnet18", crop=16, epochs=1, batch_size=16, lr=3e-3, shift=2)


@pytest.fixture(autouse=True, scope="module")
def _small_and_quick():
    with frozen.tiny_network():
        yield


@pytest.fixture(autouse=True)
def _few_lenses_are_enough(monkeypatch):
    """Half of val is kept out of early stopping with three lenses too."""
    monkeypatch.setattr(row_selection, "LEAST_LENSES", 3)


def toy(count: int = 240) -> tuple[pa.Table, rings.InMemory]:
    return rings.manifest(count)


def kept_by(folder: Path, config: TrainConfig, table: pa.Table, pixels: rings.InMemory) -> pa.Table:
    """The table that a run keeps, of the run made in the folder."""
    list(fit(table, pixels, config, folder / "run"))
    return read_table(str(folder / "run" / "val_scores.parquet"))


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, calibrate_share=0.0),
        replace(SMALL, ensemble=2),
        replace(SMALL, without_ref=("paper one",)),
        replace(SMALL, fold="1/5"),
    ],
    ids=["half", "all of val", "ensemble", "without a catalogue", "fold"],
)
def test_the_thresholds_of_a_run_are_those_of_its_scored_and_evaluated_manifest(tmp_path, config):
    table, pixels = toy()
    kept = kept_by(tmp_path, config, table, pixels)
    scores = frozen.scored(tmp_path, table, pixels)
    found = evaluation_of(scores, Choices(rounds=100))
    wanted = found.tables["val_scores"]
    assert found.metrics["thresholds"]["role"] == ("calibrate" if config.calibrate_share else "val")
    assert kept["galaxy_id"].to_pylist() == wanted["galaxy_id"].to_pylist()
    assert kept["label"].to_pylist() == wanted["label"].to_pylist()
    np.testing.assert_allclose(kept["logit"].to_numpy(), wanted["logit"].to_numpy(), atol=1e-5)
    given = read_thresholds(str(tmp_path / "run"))
    for ours, theirs in zip(given.chosen, found.metrics["thresholds"]["points"], strict=True):
        assert ours.name == theirs["name"]
        assert ours.logit == pytest.approx(theirs["logit"], abs=1e-5)
    assert given.scaling.slope == pytest.approx(found.metrics["calibration"]["slope"], rel=1e-4)


def test_what_is_kept_says_what_it_is(tmp_path):
    table, pixels = toy()
    events = list(fit(table, pixels, replace(SMALL, ensemble=2), tmp_path / "run"))
    kept = read_table(str(tmp_path / "run" / "val_scores.parquet"))
    assert f"; {kept.num_rows} more rows of val are kept for thresholds; " in events[0].note
    assert events[-1].note == f"scores of {kept.num_rows} rows of val are kept, for thresholds"
    assert kept.column_names == ["galaxy_id", "label", "healpix_128", "logit", "logit_0", "logit_1", "role"]
    mean = (kept["logit_0"].to_numpy() + kept["logit_1"].to_numpy()) / 2
    np.testing.assert_allclose(kept["logit"].to_numpy(), mean)
    assert set(kept["role"].to_pylist()) == {"calibrate"}
    assert split.calibrates(kept["healpix_128"].to_numpy(), SMALL.calibrate_share).all()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["val_scores"] == {"rows": kept.num_rows, "digest": digests.of_table(kept)}
    assert facts["val_scores"]["rows"] == facts["rows"]["calibrate"]
    assert chain_of(kept) == checkpoint.load_model(tmp_path / "run").chain


def test_rows_without_a_good_cutout_are_not_kept(tmp_path):
    table, pixels = toy()
    whole = kept_by(tmp_path, SMALL, table, pixels)["galaxy_id"].to_pylist()
    rows = [table["galaxy_id"].to_pylist().index(galaxy) for galaxy in whole[:2]]
    pixels.images[rows[0], 12, 12, 0] = np.nan
    table = changed(table.drop_columns("cutout_sha256"), "cutout_ok", rows[1], False)
    (tmp_path / "again").mkdir()
    assert kept_by(tmp_path / "again", SMALL, table, pixels)["galaxy_id"].to_pylist() == whole[2:]


def test_columns_of_an_older_scoring_and_the_row_order_make_no_difference(tmp_path):
    table, pixels = toy()
    kept = kept_by(tmp_path, SMALL, table, pixels)
    backwards = np.arange(table.num_rows)[::-1]
    turned = table.append_column("logit", pa.array(np.zeros(table.num_rows))).take(backwards)
    (tmp_path / "again").mkdir()
    again = kept_by(tmp_path / "again", SMALL, turned, rings.InMemory(pixels.images[backwards]))
    assert again["galaxy_id"].to_pylist() == kept["galaxy_id"].to_pylist()
    np.testing.assert_allclose(again["logit"].to_numpy(), kept["logit"].to_numpy(), atol=1e-5)


def test_pixels_of_kept_rows_that_are_not_the_manifests_stop_it_before_it_trains(tmp_path):
    """They are read for their scores only once the weights are there, hours later."""
    table, pixels = toy()
    store = make_store(tmp_path / "s.zarr", pixels.images)
    table = table.set_column(0, "galaxy_id", store.index["galaxy_id"])
    stops = row_selection.select_rows(table, calibrate_share=SMALL.calibrate_share).val.at
    row = int(np.setdiff1d(rows_of_val(table, None), stops)[0])
    damage.flip_bit(tmp_path / "s.zarr", row)
    events = fit(table, Cutouts(table, tmp_path), SMALL, tmp_path / "run")
    with pytest.raises(InputError, match=f"s.zarr: the pixels of {table['galaxy_id'][row]} "):
        next(events)
    assert not (tmp_path / ".run.part").exists()
