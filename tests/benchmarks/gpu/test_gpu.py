"""The script for a card runs: its small version, on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmarks.gpu import crops

ROOT = Path(__file__).resolve().parents[3]
PARTS = ["two epochs", "beside a bare loop", "score from memory", "precision", "two at once", "compiled"]


def script(*options: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tests.benchmarks.gpu", *options]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_small_version_gives_every_figure():
    done = script("--small")
    assert done.returncode == 0, done.stderr
    found = {figure["what"]: figure for figure in map(json.loads, done.stdout.splitlines())}
    assert list(found) == PARTS
    assert all(figure["device"] for figure in found.values())
    for what in ("two epochs", "score from memory", "two at once"):
        assert found[what]["cutouts_per_second"] > 0
    assert found["two epochs"]["minutes_for_40_epochs"] > 0
    assert 0 < found["beside a bare loop"]["of_bare"] < 100


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_without_a_card_it_says_so_and_measures_nothing():
    done = script()
    assert (done.returncode, done.stdout) == (2, "")
    assert "no CUDA device" in done.stderr


def test_the_crops_of_the_plan_fit_the_memory_of_a_large_card():
    """Half of it: 357,000 crops as float32 on a card of 80 GB."""
    size = crops.FULL
    assert (size.rows * size.window**2 + size.val_rows * size.crop**2) * crops.BANDS * 4 < 0.5 * 80e9
