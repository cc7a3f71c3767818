"""Rows that a model may know: by the split rule, by their cutout, by their id."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import healpy
import numpy as np
import pyarrow as pa
import pytest

from lensctl.astro import geometry
from lensctl.learning.data.row_selection import Fold, refold
from lensctl.learning.networks.checkpoint import fold_of
from lensctl.rules.errors import InputError
from lensctl.rules.split import SEED, healpix, splits_of
from lensctl.rules.survey import LS_DR10
from lensctl.search.training import Training, ids_of

HALF = LS_DR10.cutout_arcsec / 2


def sky(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.uniform(0, 360, count), np.degrees(np.arcsin(random.uniform(-0.9, 0.9, count)))


def seen(training: Training, ra: np.ndarray, dec: np.ndarray) -> list[str | None]:
    ids = [f"b_{i}" for i in range(len(ra))]
    return training.seen(ids, ra, dec, healpix(ra, dec)).tolist()


def test_rows_of_train_and_val_are_named_by_their_split():
    ra, dec = sky(3000)
    split = splits_of(healpix(ra, dec))
    found = seen(Training(LS_DR10), ra, dec)
    for own, why in zip(split.tolist(), found, strict=True):
        assert why == own if own in ("train", "val") else why is None or why.startswith("box reaches")


def test_a_box_reaches_a_pixel_that_holds_any_point_of_it():
    """By brute force: a dense grid over the whole box, for rows near pixels' edges and corners."""
    random = np.random.default_rng(1)
    pixel = random.integers(0, 12 * 128**2, 400)
    corners = np.moveaxis(healpy.boundaries(128, pixel, step=4, nest=True), 1, -1).reshape(-1, 3)
    ra, dec = healpy.vec2ang(corners[random.permutation(len(corners))[:1500]], lonlat=True)
    dec = np.clip(dec + random.normal(0, 8 / 3600, len(dec)), -88, 88)
    training = Training(LS_DR10)
    found = seen(training, ra, dec)
    grid = np.linspace(-HALF, HALF, 41)
    east, north = (axis.reshape(-1) for axis in np.meshgrid(grid, grid))
    points = geometry.points_around(ra, dec, east, north)
    inside = healpy.vec2pix(128, *np.moveaxis(points, -1, 0), nest=True)
    splits = training.splits(inside.reshape(-1)).reshape(inside.shape)
    own = training.splits(healpix(ra, dec))
    for k in np.flatnonzero(own == "test"):
        reached = set(splits[k]) & {"train", "val"}
        wanted = f"box reaches {'train' if 'train' in reached else 'val'}" if reached else None
        assert found[k] == wanted
    assert sum(why is not None and why.startswith("box") for why in found) > 50


def test_a_fold_has_splits_of_its_own():
    ra, dec = sky(500)
    fold = Fold(2, 5)
    training = Training(LS_DR10, fold)
    assert training.splits(healpix(ra, dec)).tolist() == fold.splits(healpix(ra, dec), LS_DR10.split_seed).tolist()


def test_a_fold_is_that_of_the_training_whatever_the_survey_draws_its_splits_by():
    pixels = np.arange(3000)
    rows = pa.table({"healpix_128": pixels, "split": ["test"] * 3000, "cutout_ok": [False] * 3000})
    survey, card = dataclasses.replace(LS_DR10, split_seed=7), SimpleNamespace(fold="2/5")
    taught = refold(rows, fold_of(card), SEED)["split"].to_pylist()
    assert Training(survey, Fold(2, 5)).splits(pixels).tolist() == taught


def test_ids_of_a_manifest_are_flagged_where_the_sky_says_nothing():
    ra, dec = sky(3000)
    free = [k for k, why in enumerate(seen(Training(LS_DR10), ra, dec)) if why is None]
    known = seen(Training(LS_DR10, ids={f"b_{free[0]}": "train", "elsewhere": "val"}), ra, dec)
    assert [known[k] for k in free[:2]] == ["manifest: train", None]
    assert known.count("manifest: train") == 1


def test_only_train_and_val_of_a_manifest_count():
    table = pa.table({"galaxy_id": ["a", "b", "c"], "split": ["train", "test", "val"]})
    assert ids_of(table, "m") == {"a": "train", "c": "val"}
    with pytest.raises(InputError, match="m: split 'x' is none of train, val, test"):
        ids_of(pa.table({"galaxy_id": ["a"], "split": ["x"]}), "m")
    with pytest.raises(InputError, match="column 'split' is missing"):
        ids_of(pa.table({"galaxy_id": ["a"]}), "m")
