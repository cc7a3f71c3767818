"""Batches of objects, one batch per thread at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lensctl.sync.object_store import Entry

BATCH, BATCH_BYTES = 8, 1 << 20
"""Most objects and bytes in a batch: handing over a small object costs as much as reading it."""


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Consecutive objects in lists; a large one by itself."""
    batch: list[Entry] = []
    room = BATCH_BYTES
    for entry in entries:
        if batch and (len(batch) == BATCH or entry.size > room):
            yield batch
            batch, room = [], BATCH_BYTES
        batch.append(entry)
        room -= entry.size
    if batch:
        yield batch
