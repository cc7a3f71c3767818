"""Coroutines run to their end from a plain program and from within a running loop, as in a notebook."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from lensctl.io import event_loop


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("no")


@pytest.fixture(params=["in a program", "in a notebook"])
def call(request):
    """Call a function where no loop runs, or where one does."""
    if request.param == "in a program":
        return lambda function: function()

    async def within(function):
        return function()

    return lambda function: asyncio.run(within(function))


def test_it_gives_the_result(call):
    assert call(lambda: event_loop.run(answer(7))) == 7


def test_it_gives_the_exception(call):
    with pytest.raises(ValueError, match="^no$"):
        call(lambda: event_loop.run(fail()))


def test_no_thread_is_left(call):
    before = threading.active_count()
    call(lambda: event_loop.run(answer(1)))
    assert threading.active_count() == before


def test_an_interrupt_in_a_notebook_ends_the_coroutine(monkeypatch):
    seen: list[str] = []

    async def endless() -> None:
        seen.append("begun")
        try:
            await asyncio.sleep(600)
        finally:
            seen.append("ended")

    async def within() -> None:
        event_loop.run(endless())

    def interrupted(future, timeout=None):
        while not seen:
            time.sleep(0.001)
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(within())
    assert seen == ["begun", "ended"]
