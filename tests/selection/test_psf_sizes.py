"""psfsize is taken from the table first, then from the index, then from the planes; a lack is named."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection.psf_sizes import psf_sizes

IDS = pa.table({"galaxy_id": ["a", "b", "c"]})


def store(planes=(), plane=None, **columns) -> SimpleNamespace:
    """A store of four cutouts with these columns in its index, and a plane of psfsize."""
    return SimpleNamespace(
        path="s.zarr",
        size=3,
        index=pa.table({"galaxy_id": ["b", "a", "c", "d"], **columns}),
        layout=SimpleNamespace(planes=planes),
        read_plane_rows=lambda name, rows: plane[rows],
    )


def sizes(table, of, needed=(True, True, True)) -> np.ndarray:
    return psf_sizes(table, of, np.array([1, 0, 2]), np.array(needed), LS_DR10, "t")


def full(value: float, names: str = "psfsize_{}", rows: int = 3) -> dict[str, list[float]]:
    return {names.format(band): [value] * rows for band in "grz"}


def test_the_table_comes_first_then_the_index_then_the_planes():
    plane = np.full((4, 3, 3, 3), 1.4)
    both = IDS
    for name, values in full(1.1).items():
        both = both.append_column(name, pa.array(values))
    of_index, of_meta = store(**full(1.2, rows=4)), store(**full(1.3, "meta_psfsize_{}", rows=4))
    of_planes = store(("psfsize",), plane)
    assert set(sizes(both, of_index).ravel()) == {1.1}
    assert set(sizes(IDS, of_index).ravel()) == {1.2}
    assert set(sizes(IDS, of_meta).ravel()) == {1.3}
    assert set(sizes(IDS, of_planes).ravel()) == {1.4}


def test_rows_of_the_store_are_those_of_the_table_and_gaps_are_filled_row_by_row():
    table = IDS.append_column("psfsize_g", pa.array([1.1, None, 0.0]))
    of = store(**{f"psfsize_{band}": [2.0, 1.0, 3.0, 4.0] for band in "grz"})
    found = sizes(table, of)
    assert found[:, 0].tolist() == [1.1, 2.0, 3.0]
    assert found[:, 1].tolist() == [1.0, 2.0, 3.0]


def test_the_middle_of_a_plane_counts():
    plane = np.full((4, 3, 3, 3), 9.0)
    plane[:, 1, 1] = np.arange(1, 5)[:, None]
    assert sizes(IDS, store(("psfsize",), plane))[:, 2].tolist() == [2.0, 1.0, 3.0]


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_a_row_without_psfsize_is_named_if_it_needs_one(bad):
    table = IDS.append_column("psfsize_r", pa.array([1.1, bad, 1.2]))
    of = store(psfsize_g=[1.0] * 4, psfsize_z=[1.0] * 4)
    with pytest.raises(InputError, match="t: no psfsize_r above 0 for 1 of 3 rows, such as b, nor in s.zarr"):
        sizes(table, of)
    assert np.isnan(sizes(table, of, (True, False, True))[1, 1])


def test_a_psfsize_that_is_no_number_is_named():
    table = IDS.append_column("psfsize_r", pa.array(["x", "y", "z"]))
    with pytest.raises(InputError, match="t: column 'psfsize_r' is string, not a number"):
        sizes(table, store())
