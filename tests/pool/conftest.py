"""A toy sweep for the tests of what is selected."""

from __future__ import annotations

import pytest

from tests.toys import catalogs as toys


@pytest.fixture
def sweep(tmp_path):
    return toys.write_fits(toys.rows(2000), tmp_path / "sweep-150p002-160p007.fits")
