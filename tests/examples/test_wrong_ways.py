"""The page on the selection function quotes what its example prints."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE, DETAILS = ((ROOT / f"docs/science/{name}.md").read_text() for name in ("selection", "selection-in-detail"))


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(ROOT / "examples/selection/wrong_ways.py"))


def test_every_line_that_it_prints_stands_on_the_page(example):
    assert [line for line in example["lines"]() if line not in PAGE] == []


def test_the_integral_recovers_the_truth_and_the_wrong_ways_do_not(example):
    made, effective = example["scales"](np.random.default_rng(11))
    error = np.sqrt(((made - example["SCALE"]) ** 2).mean(axis=0))
    assert error[2] < error[1] < error[0]
    assert abs(np.median(made[:, 2]) - example["SCALE"]) < 0.003
    assert np.median(made[:, 0]) > 1.15 * example["SCALE"]
    assert np.median(effective) < 0.7 * example["FOUND"]


def test_the_page_names_every_assumption_with_its_default():
    from lensctl.selection.sie_vdf import Assumptions

    row = {
        name: line for line in DETAILS.splitlines() if line.startswith("| `") for name in line.split("|")[1].split("`")
    }
    for name, value in vars(Assumptions()).items():
        defaults = [float(each) for each in row[name].split("|")[2].split(",")]
        assert value in defaults, name
