"""Scores of a toy model, and their evaluation."""

from __future__ import annotations

import pytest

from lensctl.evaluate.evaluation import evaluation_of
from tests.evaluate.toys import QUICK, scores_of
from tests.toys.scores import toy_scores
from tests.toys.surveys import WIDE


@pytest.fixture(scope="package")
def scores():
    return toy_scores()


@pytest.fixture(scope="package")
def found(scores):
    return evaluation_of(scores, QUICK)


@pytest.fixture(scope="package")
def wide():
    """An evaluation of scores of another survey."""
    return evaluation_of(scores_of(WIDE), QUICK)
