"""A manifest to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toys import manifests as gate_toys
from tests.toys import pixels


@pytest.fixture
def manifest(tmp_path) -> Path:
    """A manifest beside its store of 12 px cutouts: 10 lenses, 50 others."""
    table = gate_toys.toy_manifest(10, 50)
    return gate_toys.with_store(tmp_path, table, pixels.images(60, 12))
