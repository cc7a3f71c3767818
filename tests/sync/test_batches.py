"""Batches of objects, one batch per thread at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lensctl.sync.batches import BATCH, BATCH_BYTES, batches
from lensctl.sync.object_store import Entry
from tests.toys.sync import MIB


@given(st.lists(st.integers(0, 2 * MIB), max_size=60))
def test_threads_take_objects_in_order_a_few_small_ones_or_one_large_one_at_a_time(sizes):
    entries = [Entry(str(i), size, "", 0) for i, size in enumerate(sizes)]
    lists = list(batches(entries))
    assert [entry for batch in lists for entry in batch] == entries
    assert all(len(batch) <= BATCH for batch in lists)
    assert all(len(batch) == 1 or sum(e.size for e in batch) <= BATCH_BYTES for batch in lists)
