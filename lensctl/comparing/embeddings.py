"""Embeddings of a table, and their principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules.columns.results import EMBEDDING
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def of(table: pa.Table, where: str) -> Floats:
    """Column `embedding`, lists of one length: (N, E); NaN where null. InputError if it is anything else."""
    import pyarrow as pa

    column = table[EMBEDDING].combine_chunks()
    if not pa.types.is_fixed_size_list(column.type) or not pa.types.is_floating(column.type.value_type):
        raise InputError(f"{where}: embedding is {column.type}, not lists of one length", "score with --embedding")
    found = np.full((len(column), column.type.list_size), np.nan)
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float64)
    found[column.is_valid().to_numpy(zero_copy_only=False)] = values.reshape(-1, column.type.list_size)
    return found


def principal(values: Floats, count: int) -> Floats:
    """The first principal components of rows: (N, E) to (N, at most `count`); NaN where a row has one.

    Fitted without knowing which rows are lenses.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    known = np.isfinite(values).all(axis=1)
    count = min(count, values.shape[1], int(known.sum()))
    out = np.full((len(values), count), np.nan)
    if count:
        with threadpool_limits(limits=1):
            out[known] = PCA(count, svd_solver="full").fit_transform(values[known])
    return out
