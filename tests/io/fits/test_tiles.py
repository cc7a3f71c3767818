"""Tiles of an image: blocks are the mask, spans cover the bytes, and tiles are where astropy finds them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lensctl.io.fits.tiles import merged_spans, table_bytes, tile_blocks, tile_spans
from lensctl.io.imaging.local_bricks import FitsFile


@pytest.fixture(scope="module")
def root(large_survey: Path) -> Path:
    return large_survey


@given(arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_blocks_are_the_mask_each_place_once(mask: np.ndarray) -> None:
    found = np.zeros(mask.shape, int)
    for rows, columns in tile_blocks(mask):
        found[rows, columns] += 1
    assert np.array_equal(found, mask)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=9), st.integers(0, 12))
def test_joined_spans_cover_the_bytes_and_little_more(pairs: list[tuple[int, int]], gap: int) -> None:
    spans = np.array([(a, a + n) for a, n in pairs], np.int64).reshape(-1, 2)
    found = merged_spans(spans, gap)
    covered = {byte for start, stop in found for byte in range(start, stop)}
    wanted = {byte for start, stop in spans for byte in range(start, stop)}
    assert wanted <= covered
    edges = {int(edge) for span in spans for edge in span}
    assert all({start, stop} <= edges for start, stop in found)
    for start, stop in found:
        inside = sorted({start, *wanted & set(range(start, stop)), stop, *(e for e in edges if start <= e <= stop)})
        assert all(b - a <= max(gap, 1) for a, b in itertools.pairwise(inside))
    assert all(after[0] - before[1] > gap for before, after in itertools.pairwise(found))


def test_the_spans_of_tiles_are_where_astropy_finds_them(root: Path) -> None:
    (file,) = (root / "coadd/150/1500p020").glob("*-z.fits.fz")
    image = FitsFile(file).image
    content = file.read_bytes()
    spans = tile_spans(image, content[image.data_start : image.data_start + table_bytes(image)])
    with fits.open(file, disable_image_compression=True) as hdus:
        tiles = hdus[1].data["COMPRESSED_DATA"]
        for tile in (0, 7, len(spans) - 1):
            parts = b"".join(content[start:stop] for start, stop in spans[tile])
            assert parts == np.asarray(tiles[tile]).tobytes()
