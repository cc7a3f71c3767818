"""Cutouts read and looked at block by block, several blocks at a time, whatever their number."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from lensctl.io.workers import cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

BLOCK_ROWS = 64
LARGEST_TEAM = 8

Found = TypeVar("Found")


def each_block(blocks: Iterable[Ints], look: Callable[[Ints], Found]) -> Iterator[tuple[Ints, Found]]:
    """Each block of rows and what was found in it, in the order of the blocks.

    Parameters
    ----------
    blocks : iterable of (n,) int
        Taken as they are needed: only as many are under way as there are cores, eight at most.
    look : callable
        Reads the cutouts of a block and says what is in them; called in threads, which numpy, hashlib and
        tensorstore let run side by side.
    """
    waiting = iter(blocks)
    team = min(cores(), LARGEST_TEAM)
    with ThreadPoolExecutor(team) as threads:
        under_way: deque[tuple[Ints, Future[Found]]] = deque()
        try:
            for block in itertools.islice(waiting, team):
                under_way.append((block, threads.submit(look, block)))
            while under_way:
                block, found = under_way.popleft()
                done = found.result()
                under_way.extend((more, threads.submit(look, more)) for more in itertools.islice(waiting, 1))
                yield block, done
        finally:
            for _, unwanted in under_way:
                unwanted.cancel()
