"""A frozen toy, and what it was frozen from, to be spoiled."""

from __future__ import annotations

import pytest

from tests.toys import frozen as frozen_toys
from tests.toys.freezing import copy_of


@pytest.fixture(autouse=True, scope="module")
def _small_and_quick():
    with frozen_toys.tiny_network():
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return frozen_toys.bundle(tmp_path_factory)


@pytest.fixture
def folder(bundle, tmp_path):
    """A copy of the bundle that may be spoiled; `out` is empty."""
    (tmp_path / "out").mkdir()
    return copy_of(bundle, tmp_path, "run", "evaluation")
