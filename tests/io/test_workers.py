"""Worker processes: every task is done once, and what stops one is told."""

from __future__ import annotations

import errno
import os

import pytest

from lensctl.io import workers
from lensctl.rules.errors import InputError, LensctlError


def _half(number: int) -> int:
    if number == 3:
        raise InputError("three", "not three")
    if number == 4:
        os._exit(9)
    return number // 2


def test_what_a_worker_raises_comes_through_with_its_advice() -> None:
    with pytest.raises(InputError, match="three") as caught:
        list(workers.each(_half, [1, 2, 3], 2))
    assert caught.value.fix == "not three"


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(LensctlError, match="a worker process died"):
        list(workers.each(_half, [1, 4, 2], 2))


@pytest.mark.parametrize("processes", [1, 2])
def test_workers_do_every_task_once(processes: int) -> None:
    assert sorted(workers.each(_half, iter([0, 2, 6, 8, 10, 12]), processes)) == [0, 1, 3, 4, 5, 6]


def test_without_semaphores_it_is_said_that_one_process_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on AWS Lambda, and in containers without /dev/shm."""

    def refused(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", refused)
    with pytest.raises(InputError, match="no semaphores for several processes") as caught:
        list(workers.each(_half, [0, 2, 6], 2))
    assert caught.value.fix == "add --workers 1"
    assert list(workers.each(_half, [0, 2, 6], 1)) == [0, 1, 3]
