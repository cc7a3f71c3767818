"""A frozen toy, and what it was frozen from, to be spoiled."""

from __future__ import annotations

import pytest

from tests.toys.freezing import copy_of


@pytest.fixture
def folder(bundle, tmp_path):
    """A copy of the bundle that may be spoiled; `out` is empty."""
    (tmp_path / "out").mkdir()
    return copy_of(bundle, tmp_path, "run", "evaluation")
