"""New FITS files lie where they are told to, whatever the path is called."""

from __future__ import annotations

import fitsio
import numpy as np
import pytest

from lensctl.io.fits.new_files import new_fits


@pytest.mark.parametrize("folder", ["plain", "dr10[test]", "!bang", "a(b)", "x+1", "~home", "é ?*"])
def test_a_path_is_that_path(tmp_path, folder):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "image.fits"
    pixels = np.arange(40_000, dtype="f4").reshape(200, 200)
    how = {"compress": "RICE", "tile_dims": (100, 100), "qlevel": -0.1, "dither_seed": 3}
    with new_fits(path) as file:
        file.write_image(pixels, **how)
    fitsio.write(str(tmp_path / "beside.fits"), pixels, **how)
    assert [each.name for each in (tmp_path / folder).iterdir()] == ["image.fits"]
    assert path.read_bytes() == (tmp_path / "beside.fits").read_bytes()
