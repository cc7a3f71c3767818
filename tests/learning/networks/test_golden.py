"""Golden inputs: enough of both classes, without NaN in the crop, none where none can be, never unpickled."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.learning.networks.golden import choose, read_golden, save_golden_inputs
from lensctl.rules.errors import InputError
from tests.toys import rings


def test_golden_inputs_make_up_for_a_class_with_few_rows_and_pass_over_nan():
    table, cutouts = rings.manifest(80)
    split, label = np.array(table["split"].to_pylist()), table["label"].to_numpy()
    lenses = np.flatnonzero((split == "test") & (label == 1))
    cutouts.images[lenses[2:], 12, 12] = np.nan
    chosen = choose(table, cutouts.read, 16)
    assert len(chosen.label) == 16
    assert chosen.label.sum() == 2
    assert np.isfinite(chosen.cutouts).all()
    order = np.random.default_rng(0).permutation(80)
    shuffled = choose(table.take(order), rings.InMemory(cutouts.images[order]).read, 16)
    assert sorted(shuffled.galaxy_id) == sorted(chosen.galaxy_id)


def test_nan_outside_the_crop_does_not_matter():
    table, cutouts = rings.manifest(80)
    cutouts.images[:, 0, 0] = np.nan
    assert len(choose(table, cutouts.read, 16).label) == 16


def test_without_test_rows_there_are_no_golden_inputs(tmp_path):
    table, cutouts = rings.manifest(80)
    train = table.filter(pa.array(np.array(table["split"].to_pylist()) == "train"))
    assert save_golden_inputs(tmp_path, train, cutouts.read, 16) is False
    assert list(tmp_path.iterdir()) == []


class Opens:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_golden_inputs_are_never_unpickled(tmp_path):
    trap = np.array([Opens(str(tmp_path / "opened"))], dtype=object)
    np.savez(tmp_path / "golden.npz", galaxy_id=trap, label=[1], cutouts=[1], logits=[1])
    with pytest.raises(InputError, match="invalid golden inputs"):
        read_golden(tmp_path / "golden.npz")
    assert not (tmp_path / "opened").exists()
