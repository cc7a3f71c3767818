"""Blocks come back in order, a few at a time, and a fault in one ends the run with its own words."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from lensctl.gates.shortcuts import blocks
from lensctl.rules.errors import InputError


def test_blocks_come_back_in_order_and_only_a_few_are_under_way_at_a_time(monkeypatch):
    monkeypatch.setattr(blocks, "cores", lambda: 3)
    taken, at_once, most, lock = [], 0, 0, threading.Lock()

    def ask():
        for k in range(20):
            taken.append(k)
            yield np.array([k])

    def look(block):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002 * (block[0] % 3))
        with lock:
            at_once -= 1
        return int(block[0])

    for k, (block, found) in enumerate(blocks.each_block(ask(), look)):
        assert block[0] == found == k
        assert len(taken) <= k + 4
    assert k == 19
    assert 1 < most <= 3


def test_a_block_that_cannot_be_read_ends_it_with_its_own_words():
    def look(block):
        if block[0] == 3:
            raise InputError("shard 3 is damaged", "copy it again")
        return block[0]

    with pytest.raises(InputError, match="shard 3 is damaged"):
        list(blocks.each_block((np.array([k]) for k in range(1000)), look))
