"""Small mock skies that all tests of this folder read."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import Chain, Step, extend
from lensctl.rules.survey import LS_DR10
from lensctl.sky import mock, pointings
from tests.toys.small_sky import SEED, SMALL, SMALLEST, Sky, example


@pytest.fixture(scope="session")
def chain() -> Chain:
    return extend(Step("sky", {"seed": SEED}))


@pytest.fixture(scope="session")
def sky(tmp_path_factory, chain) -> Sky:
    place = tmp_path_factory.mktemp("sky")
    mock.make(place, SMALL, seed=SEED, workers=1, chain=chain)
    return Sky(place, LS_DR10, pointings.plan(SEED, SMALL))


@pytest.fixture(scope="session")
def others(tmp_path_factory) -> Callable[[str], Sky]:
    """Makes the sky of a survey once, whatever the order in which tests ask for it."""

    @functools.cache
    def made(name: str) -> Sky:
        place, survey = tmp_path_factory.mktemp(name), example(name)
        mock.make(place, SMALLEST, seed=SEED, workers=1, chain=extend(Step("sky", {"seed": SEED}, survey=survey)))
        return Sky(place, survey, pointings.plan(SEED, SMALLEST, survey))

    return made


@pytest.fixture(params=["griz", "vis-yjh"])
def other(request, others) -> Sky:
    """A sky of another survey than the default."""
    return others(request.param)


@pytest.fixture(scope="session")
def root(sky) -> Path:
    return sky.root


@pytest.fixture(scope="session")
def plan(sky) -> list[pointings.Pointing]:
    return sky.plan


@pytest.fixture(scope="session")
def tractor(sky) -> np.ndarray:
    return sky.tractor


@pytest.fixture(scope="session")
def truth(sky) -> pa.Table:
    return sky.truth
