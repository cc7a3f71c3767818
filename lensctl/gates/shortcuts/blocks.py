"""Read and process cutouts block by block in a thread pool, in bounded memory."""

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
MAX_THREADS = 8

Result = TypeVar("Result")


def each_block(blocks: Iterable[Ints], process: Callable[[Ints], Result]) -> Iterator[tuple[Ints, Result]]:
    """Process blocks of rows in threads; yields each block with its result, in order.

    Parameters
    ----------
    blocks : iterable of (n,) int
        Consumed lazily: at most as many are in progress as there are cores, up to eight.
    process : callable
        Reads and measures the cutouts of a block; called in threads (numpy, hashlib and tensorstore release the GIL).
    """
    remaining = iter(blocks)
    workers = min(cores(), MAX_THREADS)
    with ThreadPoolExecutor(workers) as threads:
        pending: deque[tuple[Ints, Future[Result]]] = deque()
        try:
            for block in itertools.islice(remaining, workers):
                pending.append((block, threads.submit(process, block)))
            while pending:
                block, future = pending.popleft()
                result = future.result()
                pending.extend((more, threads.submit(process, more)) for more in itertools.islice(remaining, 1))
                yield block, result
        finally:
            for _, future in pending:
                future.cancel()
