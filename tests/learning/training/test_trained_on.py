"""Manifest and cutouts are those that were trained on, or they are refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance import digests
from lensctl.learning.data.row_selection import Fold, refold
from lensctl.learning.training import trained_on
from lensctl.learning.training.trained_on import Data
from lensctl.rules.errors import InputError
from lensctl.rules.split import SEED
from tests.toys import pixels, rings


@pytest.fixture
def data(tmp_path):
    """A manifest and its store."""
    return made(tmp_path)


def made(folder, images=None):
    table, cutouts = rings.manifest(40)
    images = cutouts.images if images is None else images
    store = pixels.make_store(folder / "s.zarr", images, shard_rows=16)
    return Data(table.set_column(0, "galaxy_id", store.index["galaxy_id"]), folder)


def test_what_was_trained_on_passes_and_every_row_is_counted(data):
    seen = []
    trained_on.refuse_changes(data, digests.of_table(data.manifest), seen.append)
    assert sum(seen) == 40


def test_a_manifest_that_changed_is_refused(data):
    before = digests.of_table(data.manifest)
    spoiled = Data(rings.changed(data.manifest, "split", 3, "val"), data.root, "m.parquet")
    assert spoiled.manifest["split"][3] != data.manifest["split"][3]
    with pytest.raises(InputError, match=r"m\.parquet: changed since training") as error:
        trained_on.refuse_changes(spoiled, before)
    assert error.value.fix == "train again on the current data, or restore the training data"


@pytest.mark.parametrize("row", [0, 39])
def test_one_changed_pixel_of_one_cutout_is_refused_and_named(data, tmp_path, monkeypatch, row):
    monkeypatch.setattr(trained_on, "BLOCK_ROWS", 16)
    _, cutouts = rings.manifest(40)
    images = cutouts.images.copy()
    images[row, 0, 0, 0] = np.nextafter(images[row, 0, 0, 0], np.float32(9))
    (tmp_path / "other").mkdir()
    other = Data(data.manifest, made(tmp_path / "other", images).root)
    name = data.manifest["galaxy_id"][row].as_py()
    with pytest.raises(InputError, match=f"the pixels of {name} .* are not those recorded for it"):
        trained_on.refuse_changes(other, digests.of_table(data.manifest))


def test_a_cutout_that_failed_is_not_compared(data, tmp_path):
    _, cutouts = rings.manifest(40)
    images = cutouts.images.copy()
    images[7] = 0
    (tmp_path / "other").mkdir()
    table = rings.changed(data.manifest, "cutout_ok", 7, False)
    seen = []
    trained_on.refuse_changes(Data(table, made(tmp_path / "other", images).root), digests.of_table(table), seen.append)
    assert sum(seen) == 40


def test_a_store_that_is_gone_is_refused(data, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"s\.zarr"):
        trained_on.refuse_changes(Data(data.manifest, tmp_path / "empty"), digests.of_table(data.manifest))


def test_good_cutouts_without_a_digest_cannot_be_compared(data):
    table = rings.changed(data.manifest, "cutout_sha256", 5, None)
    with pytest.raises(InputError, match="no cutout_sha256 for 1 good cutouts"):
        trained_on.refuse_changes(Data(table, data.root), digests.of_table(table))


def test_splits_are_told_by_their_rows_lenses_and_ids_in_any_order():
    table, _ = rings.manifest(80)
    found = trained_on.splits(table)
    assert {name: split["rows"] for name, split in found.items()} == {"test": 20, "train": 40, "val": 20}
    assert sum(split["lenses"] for split in found.values()) == 24
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(80)))
    assert trained_on.splits(shuffled) == found
    other = trained_on.splits(rings.changed(table, "galaxy_id", 0, "another"))
    assert sum(other[name]["ids_digest"] != found[name]["ids_digest"] for name in found) == 1


def test_the_splits_of_a_fold_are_the_folds():
    table, _ = rings.manifest(80)
    assert trained_on.splits(table, "2/5") == trained_on.splits(refold(table, Fold.parse("2/5"), SEED))
    assert trained_on.splits(table, "2/5") != trained_on.splits(table)
