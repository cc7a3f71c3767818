"""Batches: every row once an epoch, in an order of seed and epoch alone, the same from memory and from the store."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.learning.data import dataloader
from lensctl.learning.data.dataloader import Feed, Place, choose_place, epoch_order
from lensctl.learning.data.row_selection import Rows
from lensctl.learning.out_of_memory import enough_memory
from lensctl.rules.errors import InputError
from tests.toys import rings

CPU = torch.device("cpu")
STREAM = Place("stream", torch.float32, "")


def rows(label: np.ndarray) -> Rows:
    ids = np.array([f"g{i}" for i in range(len(label))], dtype=object)
    values = label.astype(np.float32)
    return Rows(np.arange(len(label)), ids, values, values, np.ones(len(label), np.float32))


def made_feed(pixels: np.ndarray, window: int = 16, place: Place = dataloader.HOST) -> tuple[Feed, rings.InMemory]:
    source = rings.InMemory(pixels)
    made = Feed(source, rows(np.zeros(len(pixels))), window, place)
    for _ in made.fill():
        pass
    return made, source


labels = st.lists(st.booleans(), min_size=4, max_size=200).filter(lambda v: 0 < sum(v) < len(v))


@given(label=labels, batch=st.integers(2, 50), seed=st.integers(0, 99), epoch=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_in_an_epoch_every_row_comes_once_but_for_the_last_part_of_a_batch(label, batch, seed, epoch):
    truth = np.array(label, np.float32)
    order = epoch_order(truth, batch, seed=seed, epoch=epoch)
    assert order.shape[1] == min(batch, len(truth))
    assert len(np.unique(order)) == order.size > len(truth) - order.shape[1]


@given(label=labels, share=st.floats(0, 1), batch=st.integers(2, 50))
@settings(max_examples=60, deadline=None)
def test_every_batch_has_the_share_of_lenses_asked_for(label, share, batch):
    truth = np.array(label, np.float32)
    order = epoch_order(truth, batch, seed=1, epoch=0, positive_share=share)
    width = order.shape[1]
    assert set(truth[order].sum(axis=1)) == {min(max(1, round(share * width)), width - 1)}


def test_the_order_is_a_function_of_seed_and_epoch():
    truth = np.arange(300) % 10 == 0
    one = epoch_order(truth, 16, seed=1, epoch=0)
    np.testing.assert_array_equal(one, epoch_order(truth, 16, seed=1, epoch=0))
    assert not np.array_equal(one, epoch_order(truth, 16, seed=1, epoch=1))
    assert not np.array_equal(one, epoch_order(truth, 16, seed=2, epoch=0))


def test_lenses_are_spread_over_the_batches_of_an_epoch():
    truth = np.arange(1000) < 100
    per_batch = truth[epoch_order(truth, 50, seed=1, epoch=0)].sum(axis=1)
    assert per_batch.sum() == 100
    assert per_batch.max() <= 15


def test_an_epoch_may_be_shorter_or_longer_than_the_set():
    truth = np.arange(100) % 10 == 0
    short = epoch_order(truth, 10, seed=1, epoch=0, samples=40)
    assert short.shape == (4, 10)
    assert len(np.unique(short)) == 40
    long = epoch_order(truth, 10, seed=1, epoch=0, samples=250)
    assert long.shape == (25, 10)
    assert set(np.bincount(long.ravel(), minlength=100)) == {2, 3}
    assert truth[long].sum() == 25


def test_lenses_come_again_only_when_all_have_come():
    truth = np.arange(200) < 10
    order = epoch_order(truth, 20, seed=1, epoch=0, positive_share=0.3)
    counts = np.bincount(order[truth[order]], minlength=200)[:10]
    assert counts.max() - counts.min() <= 1


def test_a_large_set_is_shuffled_by_blocks_within_a_buffer():
    truth = np.zeros(50_000)
    truth[:2] = 1
    order = epoch_order(truth, 100, seed=0, epoch=0).ravel()
    first = order[: dataloader.BUFFER_ROWS // 2]
    touched = np.unique((first[first > 1] - 2) // dataloader.BLOCK_ROWS)  # blocks of the others
    assert len(touched) <= dataloader.BUFFER_ROWS / dataloader.BLOCK_ROWS
    assert np.abs(np.diff(first)).mean() > 5_000


@given(seed=st.integers(0, 20), batch=st.integers(2, 20))
@settings(max_examples=15, deadline=None)
def test_memory_and_stream_give_the_same_batches(seed, batch):
    pixels = rings.images(np.zeros(40), seed=seed)
    pixels[3] = np.nan
    kept, _ = made_feed(pixels)
    streamed, _ = made_feed(pixels, place=STREAM)
    order = epoch_order(np.arange(39) % 3 == 0, batch, seed=seed, epoch=0)
    for one, other in zip(kept.batches(order), streamed.batches(order), strict=True):
        assert torch.equal(one.cutouts, other.cutouts)
        np.testing.assert_array_equal(one.which, other.which)


def test_streaming_reads_rows_a_buffer_at_a_time_and_memory_reads_them_once(monkeypatch):
    monkeypatch.setattr(dataloader, "BUFFER_ROWS", 20)
    pixels = rings.images(np.zeros(60))
    order = np.arange(60).reshape(6, 10)
    streamed, source = made_feed(pixels, place=STREAM)
    assert source.rows_read == 60
    batches = streamed.batches(order)
    next(batches)
    assert source.rows_read <= 60 + 40
    list(batches)
    assert source.rows_read == 120
    kept, source = made_feed(pixels)
    list(kept.batches(order))
    assert source.rows_read == 60


def test_rows_with_a_nan_in_the_window_are_left_out_and_others_stay():
    pixels = rings.images(np.zeros(10))
    pixels[2, 12, 12, 0] = np.nan
    pixels[5, 4, 4, 1] = np.inf
    pixels[7, 0, 0, 2] = np.nan  # beyond a window of 16 of 24
    made, _ = made_feed(pixels)
    assert made.rows.galaxy_id.tolist() == ["g0", "g1", "g3", "g4", "g6", "g7", "g8", "g9"]
    for batch in made.batches(made.in_order(3)):
        assert torch.isfinite(batch.cutouts).all()


def test_what_it_yields_while_it_fills_is_what_stays():
    pixels = rings.images(np.zeros(10))
    pixels[2, 12, 12, 0] = np.nan
    made = Feed(rings.InMemory(pixels), rows(np.zeros(10)), 16)
    seen = np.concatenate(list(made.fill()))
    np.testing.assert_array_equal(seen, np.delete(pixels, 2, axis=0)[:, 4:20, 4:20])


def test_rows_go_with_their_pixels_targets_and_weights():
    table, pixels = rings.manifest(20)
    given = Rows(
        np.arange(19, -1, -1),
        np.array(table["galaxy_id"].to_pylist()[::-1], dtype=object),
        *(np.arange(20, dtype=np.float32) + k for k in range(3)),
    )
    made = Feed(pixels, given, 16)
    for _ in made.fill():
        pass
    (batch,) = made.batches([np.array([3, 0, 3])])
    np.testing.assert_array_equal(batch.cutouts, pixels.images[[16, 19, 16], 4:20, 4:20])
    assert batch.target.tolist() == [4, 1, 4]
    assert batch.weight.tolist() == [5, 2, 5]


@pytest.mark.parametrize(
    ("pixels", "host", "way"), [(1000, 24_000, "host"), (1000, 23_999, "stream"), (10**12, 1 << 34, "stream")]
)
def test_the_way_is_chosen_by_size_and_said(pixels, host, way):
    place = choose_place(3 * pixels, CPU, host)
    assert place.way == way
    assert "GB of cutouts" in place.reason


def test_a_way_can_be_asked_for():
    assert choose_place(10**12, CPU, 1, asked="host").way == "host"
    with pytest.raises(InputError, match="disk"):
        choose_place(1, CPU, 1, asked="disk")


@pytest.mark.parametrize(
    ("free", "way", "dtype"),
    [(30_000, "device", torch.float32), (20_000, "device", torch.bfloat16), (10_000, "host", torch.float32)],
)
def test_device_memory_comes_first_then_half_precision_then_the_host(monkeypatch, free, way, dtype):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    place = choose_place(3000, torch.device("cuda"), 1 << 30)
    assert (place.way, place.dtype) == (way, dtype)


def test_cutouts_that_do_not_fit_are_said_in_a_sentence():
    made = Feed(rings.InMemory(rings.images(np.zeros(4))), rows(np.zeros(4)), 1 << 24)
    with pytest.raises(InputError, match=r"^this machine ran out of memory\n") as error, enough_memory("stream them"):
        list(made.fill())
    assert error.value.fix == "stream them"
    with pytest.raises(RuntimeError, match="shape"), enough_memory("stream them"):
        torch.zeros(2).reshape(3)
