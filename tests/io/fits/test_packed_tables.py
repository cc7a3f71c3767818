"""Tile-compressed tables: what fpack packs is read as it was."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from lensctl.io.fits.tables import read_fits_table
from tests.toys import catalogs as toys


@pytest.mark.skipif(shutil.which("fpack") is None, reason="fpack is not installed")
def test_what_fpack_packs_is_read_as_it_was(tmp_path):
    path = toys.write_fits(toys.rows(3000), tmp_path / "s.fits", brick_primary=np.arange(3000) % 3 > 0)
    expected = read_fits_table(str(path))
    subprocess.run(["fpack", "-table", str(path)], check=True, capture_output=True)
    assert read_fits_table(f"{path}.fz").equals(expected)
