"""Embeddings as numbers, and their principal components."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.comparing.embeddings import of, principal
from lensctl.rules.errors import InputError


def test_lists_of_one_length_are_numbers_and_a_null_is_nan():
    flat = pa.array(np.arange(6, dtype=np.float32))
    column = pa.FixedSizeListArray.from_arrays(flat, 2, mask=pa.array([False, True, False]))
    found = of(pa.table({"embedding": column}), "t")
    assert found[[0, 2]].tolist() == [[0, 1], [4, 5]]
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize("values", [[[1.0], [2.0, 3.0]], [1.0, 2.0], ["a", "b"]])
def test_anything_else_is_a_sentence(values):
    with pytest.raises(InputError, match="not lists of one length"):
        of(pa.table({"embedding": values}), "t")


def test_components_are_the_directions_of_most_scatter_and_rows_without_numbers_have_none():
    rng = np.random.default_rng(0)
    true = rng.standard_normal((200, 2)) * [5, 2]
    turn = np.linalg.qr(rng.standard_normal((10, 10)))[0][:2]
    values = true @ turn + 0.01 * rng.standard_normal((200, 10))
    values[3] = np.nan
    found = principal(values, 2)
    known = np.arange(200) != 3
    assert np.isnan(found[3]).all()
    for i in (0, 1):
        assert abs(np.corrcoef(found[known, i], true[known, i])[0, 1]) > 0.99
    assert principal(values, 99).shape == (200, 10)
    assert principal(np.full((4, 3), np.nan), 2).shape == (4, 0)
