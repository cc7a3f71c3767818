"""Which rows of a table are positives and which negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.comparing.arrays import booleans, numbers, texts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1
NAMES = {POSITIVE: "positives", NEGATIVE: "negatives"}


def labels_of(table: pa.Table) -> NDArray[np.int8]:
    """Class of each row: (N,) int8, 1 positive, 0 negative, -1 unknown.

    Taken from `label`; in a table without it, tier A or B is positive, and pool or tier N1 or N2 is negative.
    """
    columns = table.column_names
    if "label" in columns:
        label = numbers(table, "label")
        return np.select([label == 1, label == 0], [POSITIVE, NEGATIVE], UNKNOWN).astype(np.int8)
    labels = np.full(table.num_rows, UNKNOWN, np.int8)
    for name in ("pool", "tier"):
        if name in columns:
            text = texts(table, name)
            labels[np.isin(text, ("N1", "N2"))] = NEGATIVE
            labels[np.isin(text, ("A", "B"))] = POSITIVE
    return labels


def usable(manifest: pa.Table) -> pa.Table:
    """Rows usable for training: good cutout, label 0 or 1."""
    import pyarrow as pa

    return manifest.filter(pa.array(booleans(manifest, "cutout_ok") & (labels_of(manifest) != UNKNOWN)))
