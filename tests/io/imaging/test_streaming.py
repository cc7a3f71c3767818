"""Cutouts that are not kept: as those of a store, of which only what is needed is read."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.imaging import streaming
from lensctl.io.imaging.coadds import Coadds, CoaddSource
from lensctl.io.imaging.local_bricks import LocalBricks
from lensctl.io.imaging.streaming import CutTask, Window, cut_block, cut_blocks, reading_of, scored_blocks
from lensctl.rules import quality
from tests.toys import coadds
from tests.toys.coadds import make_brick, objects


@given(st.integers(16, 300), st.integers(1, 300))
def test_the_part_that_is_read_has_the_whole_s_centre_and_all_that_decides(size, crop):
    crop = min(crop, size)
    window = Window(size, crop)
    assert 1 <= window.side <= size
    whole = np.arange(size)
    start = size // 2 - window.side // 2
    part = whole[start : start + window.side]
    assert len(part) == window.side
    for wanted in (quality.inner(size), quality.central(size)):
        assert part[window.within(wanted)].tolist() == whole[wanted].tolist()
    image = np.broadcast_to(whole[:, None, None], (size, size, 1)).astype(np.float32)[None]
    cut = window.cropped(image[:, start : start + window.side, start : start + window.side])
    first = (size - crop) // 2
    assert cut[0, :, 0, 0].tolist() == list(range(first, first + crop))
    assert np.array_equal(window.cropped(image)[0], image[0, first : first + crop, first : first + crop])


def test_of_the_usual_cutout_and_crop_the_inner_64_pixels_are_read():
    assert Window(101, 64).side == 64
    assert Window(101, 101).side == 101
    assert Window(101, 64).rows_at_once % 64 == 0


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sky")
    make_brick(folder, "1500p020")
    make_brick(folder, "1502p020", bands="gz")
    return folder


def task(number: int = 0, brick: str | None = "1500p020", count: int = 40, spread_px: float = 300.0) -> CutTask:
    rows = objects(brick if brick in coadds.CENTRES else "1500p020", count, spread_px=spread_px)
    return CutTask(number, (brick,) * count, rows["ra"].to_numpy(), rows["dec"].to_numpy())


@pytest.mark.parametrize("max_empty", [0.05, 1.0])
@pytest.mark.parametrize("brick", ["1500p020", "1502p020", "1505p020", None])
def test_a_block_is_the_centre_of_whole_cutouts_and_their_status(sky, brick, max_empty):
    source, of = CoaddSource(str(sky), max_empty=max_empty), task(brick=brick)
    found = cut_block(source, Window(101, 40), True, of)
    cuts = Coadds(LocalBricks(sky)).cut(of.bricks, of.ra, of.dec)
    measured = quality.measure(cuts.images, "grz", max_empty)["status"]
    status = [known or seen for known, seen in zip(cuts.columns["status"], measured, strict=True)]
    wanted = cuts.images[:, 30:70, 30:70]
    finite = np.isfinite(wanted).all(axis=(1, 2, 3))
    status = [
        streaming.NAN_IN_CROP if text == "ok" and not good else text for text, good in zip(status, finite, strict=True)
    ]
    assert found.status.tolist() == status
    assert found.error == tuple(cuts.columns["error"])
    assert np.array_equal(found.images, wanted[np.array(status) == "ok"])
    assert found.layers == (("ls-dr10",) if brick in ("1500p020", "1502p020") else ())


@pytest.mark.parametrize("processes", [1, 2])
def test_blocks_come_whole_from_any_number_of_processes(sky, processes):
    source = CoaddSource(str(sky))
    wanted = [task(k, spread_px=100.0 + k) for k in range(4)]
    found = {cut.number: cut for cut in cut_blocks(source, 16, iter(wanted), processes)}
    for of in wanted:
        alone = cut_block(source, Window(101, 16), True, of)
        assert np.array_equal(found[of.number].images, alone.images)
        assert found[of.number].status.tolist() == alone.status.tolist()


def test_of_a_brick_that_is_not_kept_one_band_is_held_at_a_time(sky):
    of, held, images = task(count=400, spread_px=160.0), {}, {}
    Coadds(LocalBricks(sky), size=16).cut(of.bricks, of.ra, of.dec)  # what is made once is made before
    for keep in (True, False):
        cutter = Coadds(LocalBricks(sky), size=16)
        tracemalloc.start()
        images[keep] = cutter.cut(of.bricks, of.ra, of.dec, keep=keep).images
        held[keep] = tracemalloc.get_traced_memory()[0] - images[keep].nbytes
        tracemalloc.stop()
    assert np.array_equal(images[True], images[False], equal_nan=True)
    assert held[True] >= 3 * 4 * 330 * 360, "whole planes of three bands"
    assert held[False] < 0.5 * held[True]


def test_blocks_are_scored_in_order_in_another_thread_while_the_next_are_cut(sky):
    source = CoaddSource(str(sky))
    cuts = [cut_block(source, Window(101, 16), True, task(k, spread_px=250.0)) for k in range(5)]
    asked, threads = [], set()

    def one_by_one():
        for cut in cuts:
            asked.append(cut.number)
            yield cut

    def score(images):
        threads.add(threading.current_thread())
        return images.mean(axis=(1, 2, 3))[:, None] * [1.0, 2.0]

    for number, (cut, logits) in enumerate(scored_blocks(one_by_one(), score, 2)):
        assert cut.number == number
        assert len(asked) >= min(5, number + 3)  # some are cut ahead
        assert np.isnan(logits[~cut.ok]).all()
        np.testing.assert_allclose(logits[cut.ok][:, 1], 2 * cut.images.mean(axis=(1, 2, 3)), rtol=1e-5)
    assert threading.main_thread() not in threads


def test_an_error_of_the_scoring_reaches_the_caller(sky):
    cuts = [cut_block(CoaddSource(str(sky)), Window(101, 16), True, task(spread_px=20.0))]

    def fail(images):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(scored_blocks(iter(cuts), fail, 1))


def test_bytes_to_read_are_those_of_the_tiles_that_are_touched(sky):
    source = CoaddSource(str(sky))
    few, many = (reading_of(source, 16, [task(count=n, spread_px=s)]) for n, s in ((1, 1.0), (400, 160.0)))
    files = sum(file.stat().st_size for file in sky.rglob("*1500p020-image-*"))
    assert (few.bricks, many.bricks) == (1, 1)
    assert 0 < few.bytes < 0.5 * files
    assert 0.8 * files < many.bytes <= files
    assert reading_of(source, 16, [task(brick="1505p020"), task(brick=None)]).bytes == 0
