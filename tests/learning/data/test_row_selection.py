"""Rows to train on: the manifest's splits or a fold's, less what cannot be used, and no sky in two of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.learning.data.row_selection import LEAST_LENSES, NOT_OK, Fold, refold, select_rows
from lensctl.rules.errors import InputError
from lensctl.rules.split import calibrates
from tests.toys import rings
from tests.toys.rings import changed


def column(table: pa.Table, name: str, values: list[object]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))


def as_text(table: pa.Table, name: str) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))


def test_train_and_val_are_the_manifests_and_test_is_neither():
    table, _ = rings.manifest()
    chosen = select_rows(table)
    splits = np.array(table["split"].to_pylist())
    assert set(chosen.train.at) == set(np.flatnonzero(splits == "train"))
    assert set(chosen.val.at) == set(np.flatnonzero(splits == "val"))
    assert chosen.left_out == Counter()


def test_the_order_is_that_of_storage_whatever_the_manifests():
    table, _ = rings.manifest()
    backwards = table.take(list(range(table.num_rows))[::-1])
    assert select_rows(table).train.galaxy_id.tolist() == select_rows(backwards).train.galaxy_id.tolist()


def test_failed_cutouts_are_left_out_and_counted():
    table, _ = rings.manifest()
    row = int(select_rows(table).train.at[0])
    other = int(select_rows(table).val.at[0])
    chosen = select_rows(changed(changed(table, "cutout_ok", row, False), "cutout_ok", other, None))
    assert row not in chosen.train.at
    assert other not in chosen.val.at
    assert chosen.left_out == {NOT_OK: 2}


def test_tier_b_alone_is_smoothed_and_weights_are_carried():
    table, _ = rings.manifest()
    chosen = select_rows(table, tier_b_target=0.95)
    tier = np.array(table["tier"].to_pylist())[chosen.train.at]
    np.testing.assert_array_equal(chosen.train.target, np.select([tier == "A", tier == "B"], [1, 0.95], 0).astype("f4"))
    np.testing.assert_array_equal(chosen.train.weight, np.where(tier == "B", 0.5, 1).astype("f4"))
    assert set(chosen.train.label) == {0, 1}


def test_lenses_of_a_catalogue_left_out_neither_train_nor_validate():
    table, _ = rings.manifest()
    chosen = select_rows(table, without_ref=["paper one"])
    refs = table["ref"].to_pylist()
    for rows in (chosen.train, chosen.val):
        assert {refs[at] for at in rows.at} == {None, "paper two"}
    gone = sum(
        ref == "paper one" and split != "test" for ref, split in zip(refs, table["split"].to_pylist(), strict=True)
    )
    assert sum(chosen.left_out.values()) == gone > 0


def test_a_lens_that_several_catalogues_name_is_left_out_with_each_of_them():
    table, _ = rings.manifest()
    trains = np.array(table["split"].to_pylist()) == "train"
    one, other = np.flatnonzero((table["label"].to_numpy() == 1) & trains)[:2]
    both = changed(changed(table, "ref", int(one), "paper two | paper one"), "ref", int(other), "paper three|paper two")
    for name, without in (("paper one", {one}), ("paper two", {one, other}), ("paper three", {other})):
        kept = select_rows(both, without_ref=[name]).train.at
        assert {one, other} - set(kept) == without, name


def test_a_catalogue_nobody_has_is_refused_with_the_near_one():
    with pytest.raises(InputError, match="did you mean 'paper one'"):
        select_rows(rings.manifest()[0], without_ref=["paper onn"])


@given(of=st.integers(3, 8), seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_over_all_folds_each_pixel_tests_once_and_validates_once(of, seed):
    pixels = np.arange(500)
    splits = np.array([Fold(k, of).splits(pixels, seed) for k in range(1, of + 1)])
    assert ((splits == "test").sum(axis=0) == 1).all()
    assert ((splits == "val").sum(axis=0) == 1).all()
    assert ((splits == "train").sum(axis=0) == of - 2).all()


def test_a_fold_is_about_its_share_of_the_sky_and_whole_pixels():
    pixels = np.repeat(np.arange(4000), 2)
    splits = Fold(2, 5).splits(pixels, 42)
    assert np.mean(splits == "test") == pytest.approx(0.2, abs=0.02)
    assert (splits[::2] == splits[1::2]).all()


def test_a_fold_changes_the_split_of_the_manifest_and_nothing_else():
    table, _ = rings.manifest()
    other = refold(table, Fold(1, 5), 42)
    assert other.drop("split").equals(table.drop("split"))
    assert set(other["split"].to_pylist()) == {"train", "val", "test"}


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/2", "1", "a/b", "1/5/2", "-1/5", ""])
def test_what_is_no_fold_is_refused(text):
    with pytest.raises(InputError, match="not a fold"):
        Fold.parse(text)


def test_with_a_fold_no_training_cutout_shares_sky_with_one_that_judges_it():
    table, _ = rings.manifest(90)
    table = column(table, "ra", (10 + 0.002 * np.arange(90)).tolist())  # 7.2 arcsec apart: neighbours overlap
    fold = Fold(1, 5)
    chosen = select_rows(table, fold=fold)
    splits = np.array(refold(table, fold, 42)["split"].to_pylist())
    rank = {"train": 0, "val": 1, "test": 2}
    for rows, mine in ((chosen.train, 0), (chosen.val, 1)):
        for at in rows.at:
            near = splits[max(0, at - 3) : at + 4]
            assert max(rank[s] for s in near) <= mine
    assert chosen.left_out["shares sky with another split"] > 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: column(t, "label", [0] * t.num_rows), "no usable positives with split 'train'"),
        (lambda t: column(t, "label", [1] * t.num_rows), "no usable negatives"),
        (lambda t: column(t, "split", ["train"] * t.num_rows), "no usable rows with split 'val'"),
        (lambda t: column(t, "split", ["val"] * t.num_rows), "no usable rows with split 'train'"),
        (lambda t: changed(t, "split", 3, "Train"), "split 'Train'"),
        (lambda t: changed(t, "split", 3, None), "'split' is null"),
        (lambda t: changed(t, "label", 3, 2), "label 2 in row 3"),
        (lambda t: changed(t, "sample_weight", 3, -1.0), "sample_weight -1 in row 3"),
        (lambda t: changed(t, "sample_weight", 3, float("inf")), "sample_weight inf in row 3"),
        (lambda t: t.drop("sample_weight"), "'sample_weight' is missing"),
        (lambda t: as_text(t, "label"), "column 'label' is string, not a number"),
        (lambda t: as_text(t, "sample_weight"), "'sample_weight' is string, not a number"),
        (lambda t: changed(t, "galaxy_id", 3, "0001p000_4"), "0001p000_4"),
        (lambda t: column(t, "cutout_ok", [False] * t.num_rows), "the cutout failed"),
    ],
)
def test_what_cannot_train_is_refused_in_a_sentence(spoil, message):
    with pytest.raises(InputError, match=message):
        select_rows(spoil(rings.manifest()[0]))


def with_lenses_of_val(count: int) -> pa.Table:
    """A manifest whose val has so many lenses, and as many others, in pixels of its own."""
    table, _ = rings.manifest(4 * count)
    label = np.arange(4 * count) % 2
    where = np.repeat(["train", "val"], 2 * count)
    for name, values in (
        ("label", label.astype(np.int8)),
        ("split", where),
        ("healpix_128", np.arange(4 * count) // 4),
    ):
        table = column(table, name, values.tolist())
    return table


def test_half_of_val_is_kept_out_of_early_stopping_by_whole_pixels_where_lenses_are_many():
    table = with_lenses_of_val(LEAST_LENSES)
    whole, half = select_rows(table), select_rows(table, calibrate_share=0.5)
    assert (len(whole.val), whole.calibrate) == (200, 0)
    assert len(half.val) + half.calibrate == 200
    assert 50 < half.calibrate < 150
    pixel = table["healpix_128"].to_numpy()
    kept = np.setdiff1d(whole.val.at, half.val.at)
    assert not set(pixel[kept]) & set(pixel[half.val.at])
    assert calibrates(pixel[kept], 0.5).all()
    assert half.train.at.tolist() == whole.train.at.tolist()


def test_with_fewer_lenses_all_of_val_stops_training():
    assert select_rows(with_lenses_of_val(LEAST_LENSES - 1), calibrate_share=0.5).calibrate == 0
