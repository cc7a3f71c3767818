"""Toy surveys of three bricks each, not to be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toys.coadds import make_brick


@pytest.fixture(scope="session")
def small_survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    make_brick(folder, "1500p020")
    make_brick(folder, "1502p020", bands="gz")
    make_brick(folder, "0000m005", compress=False)
    return folder


LARGE = (1000, 1100)


@pytest.fixture(scope="session")
def large_survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("far") / "dr10 x" / "south"
    make_brick(folder, "1500p020", base="coadd", shape=LARGE)
    make_brick(folder, "1502p020", base="coadd", bands="gz")
    make_brick(folder, "0000m005", base="coadd", compress=False, shape=LARGE)
    return folder
