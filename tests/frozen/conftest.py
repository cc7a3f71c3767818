"""A frozen toy, and what it was frozen from, to be spoiled."""

from __future__ import annotations

import pytest

from tests.toys.freezing import copy_of


@pytest.fixture(autouse=True, scope="module")
def _tiny(tiny_network):
    """Every test of this folder loads models of the tiny network."""


@pytest.fixture
def folder(bundle, tmp_path):
    """A copy of the bundle that may be spoiled; `out` is empty."""
    (tmp_path / "out").mkdir()
    return copy_of(bundle, tmp_path, "run", "evaluation")
