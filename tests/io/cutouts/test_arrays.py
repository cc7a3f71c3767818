"""What zarr makes is what earlier versions wrote by hand, and any number of processes may make it at once."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from lensctl.io.cutouts.arrays import make_aligned, make_group, make_pixels
from lensctl.io.cutouts.layout import IMAGES, Layout
from lensctl.rules.survey import LS_DR10

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
BLOSC = {"shuffle": "shuffle", "typesize": 4, "blocksize": 0}
BY_HAND = {
    "none": [],
    "lz4": [{"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, **BLOSC}}],
    "zstd": [{"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, **BLOSC}}],
}


def layout(codec: str = "none") -> Layout:
    return Layout(10, 9, LS_DR10.bands, 4, codec, ("invvar", "maskbits"))


def by_hand(shape: list[int], codec: str, data_type: str, fill: object) -> dict[str, object]:
    """The metadata of a pixel array, as version 0.1.0 wrote it."""
    inner = {
        "chunk_shape": [1, *shape[1:]],
        "codecs": [LITTLE, *BY_HAND[codec]],
        "index_codecs": [LITTLE, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, *shape[1:]]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [{"name": "sharding_indexed", "configuration": inner}],
        "dimension_names": ["row", "y", "x", "band"][: len(shape)],
        "attributes": {},
    }


@pytest.mark.parametrize("codec", BY_HAND)
@pytest.mark.parametrize(
    ("name", "shape", "data_type", "fill"),
    [("images", [10, 9, 9, 3], "float32", "NaN"), ("maskbits", [10, 9, 9], "int32", -1)],
)
def test_the_metadata_of_pixels_is_as_it_was(
    tmp_path: Path, codec: str, name: str, shape: list[int], data_type: str, fill: object
) -> None:
    make_pixels(tmp_path, layout(codec), name)
    made = json.loads((tmp_path / name / "zarr.json").read_text())
    assert made.pop("storage_transformers", []) == []
    assert made == by_hand(shape, codec, data_type, fill)


def test_many_at_once_make_the_same_array_and_lose_no_pixels(tmp_path: Path) -> None:
    make_pixels(tmp_path / "alone", layout(), IMAGES)
    shard = tmp_path / "together/images/c/0/0/0/0"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"pixels")
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: make_pixels(tmp_path / "together", layout(), IMAGES), range(64)))
    assert shard.read_bytes() == b"pixels"
    made, expected = (tmp_path / folder / "images/zarr.json" for folder in ("together", "alone"))
    assert made.read_bytes() == expected.read_bytes()
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("name", "values"), [("ra", np.full(5, math.nan)), ("dec", np.arange(5.0)), ("cutout_ok", np.zeros(5, bool))]
)
def test_numbers_of_rows_are_one_file_even_if_all_are_the_fill_value(
    tmp_path: Path, name: str, values: np.ndarray
) -> None:
    make_aligned(tmp_path, name, np.ones(7))  # left by a run that was killed
    make_aligned(tmp_path, name, values)
    assert (tmp_path / name / "c/0").read_bytes() == values.tobytes()
    np.testing.assert_array_equal(zarr.open_array(tmp_path / name)[:], values)


def test_a_group_is_made_again_without_a_warning_and_with_the_same_bytes(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    made = []
    for _ in range(2):
        make_pixels(tmp_path, layout(), IMAGES)
        make_aligned(tmp_path, "ra", np.arange(10.0))
        (tmp_path / "index.parquet").touch()
        make_group(tmp_path, {"lensctl": {"b": 1, "a": 2}})
        made.append((tmp_path / "zarr.json").read_bytes())
    assert made[0] == made[1]
    assert not recwarn.list
    group = zarr.open_consolidated(tmp_path)
    assert sorted(group.array_keys()) == ["images", "ra"]
    assert group.attrs["lensctl"] == {"b": 1, "a": 2}
