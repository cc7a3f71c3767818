"""Quantised, Rice-coded tiles: the pixels are those of fitsio and astropy to the bit; the rest is left to fitsio."""

from __future__ import annotations

import sys
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lensctl.io.fits.rice import _decoders
from lensctl.io.imaging.local_bricks import FitsFile


def written(path: Path, pixels: np.ndarray, tile: tuple[int, int] = (100, 100), **how: object) -> Path:
    usual = {"compress": "RICE", "tile_dims": tile, "qlevel": 16.0, "qmethod": "SUBTRACTIVE_DITHER_2"}
    fitsio.write(str(path), pixels, clobber=True, **(usual | how))
    return path


def noise(shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    pixels = np.random.default_rng(seed).normal(0.01, 0.1, shape).astype(np.float32)
    pixels[: shape[0] // 3, : shape[1] // 2] = 0.0
    return pixels


def box_of(file: FitsFile, rows: slice, columns: slice) -> np.ndarray:
    found = np.full((rows.stop - rows.start, columns.stop - columns.start), 7, np.float32)
    file.fill(rows, columns, found)
    file.close()
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    shape=st.tuples(st.integers(40, 130), st.integers(40, 130)),
    tile=st.tuples(st.integers(5, 60), st.integers(5, 60)),
    method=st.sampled_from(["SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"]),
    data=st.data(),
)
def test_any_box_is_what_fitsio_and_astropy_read(tmp_path: Path, shape, tile, method, data: st.DataObject) -> None:
    path = written(tmp_path / "a.fits.fz", noise(shape), tile, qmethod=method)
    box = []
    for side in shape:
        start = data.draw(st.integers(0, side - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, side))))
    found = box_of(FitsFile(path), *box)
    assert np.array_equal(found, fitsio.read(str(path))[tuple(box)])
    assert np.array_equal(found, fits.getdata(path, 1)[tuple(box)])


def tiles_of(file: FitsFile) -> object:
    box_of(file, slice(0, 1), slice(0, 1))
    return file._tiles


def test_exact_zeros_and_nan_stay_what_they_are(tmp_path: Path) -> None:
    pixels = noise((220, 250))
    pixels[150:160, 30:90] = np.nan
    file = FitsFile(written(tmp_path / "a.fits.fz", pixels))
    assert file.image.header["ZBLANK"]
    found = box_of(file, slice(0, 220), slice(0, 250))
    assert np.array_equal(np.isnan(found), np.isnan(pixels))
    assert np.array_equal(found == 0, pixels == 0)
    assert np.array_equal(found, fitsio.read(str(tmp_path / "a.fits.fz")), equal_nan=True)
    assert tiles_of(file) is not None


OTHERS = {
    "integers": (np.arange(10_000, dtype=np.int32).reshape(100, 100), {}),
    "gzip": (noise((100, 100)), {"compress": "GZIP", "qlevel": 0}),
    "not quantised": (noise((100, 100)), {"compress": "GZIP_2", "qlevel": 0}),
    "no dither": (noise((100, 100)), {"qmethod": "NO_DITHER"}),
    "a tile that could not be quantised": (np.where(np.arange(200) < 100, noise((100, 200)), np.float32(1e-30)), {}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_every_other_image_is_left_to_fitsio(tmp_path: Path, kind: str) -> None:
    pixels, how = OTHERS[kind]
    path = written(tmp_path / "a.fits.fz", pixels, **how)
    file = FitsFile(path)
    assert tiles_of(file) is None
    shape = slice(0, pixels.shape[0]), slice(0, pixels.shape[1])
    assert np.array_equal(box_of(FitsFile(path), *shape), fitsio.read(str(path)).astype(np.float32))


def test_where_astropy_has_its_decoders_elsewhere_fitsio_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.fits.fz", noise((120, 130)))
    monkeypatch.setitem(sys.modules, "astropy.io.fits.hdu.compressed._codecs", None)
    _decoders.cache_clear()
    try:
        file = FitsFile(path)
        assert tiles_of(file) is None
        assert np.array_equal(box_of(file, slice(3, 120), slice(0, 130)), fitsio.read(str(path))[3:])
    finally:
        _decoders.cache_clear()


def test_a_damaged_tile_is_never_a_crash(tmp_path: Path) -> None:
    path = written(tmp_path / "a.fits.fz", noise((200, 200)))
    file = FitsFile(path)
    start, end = file.image.data_start + 4 * file.image.header["NAXIS1"], file.image.data_bytes
    content = path.read_bytes()
    random = np.random.default_rng(3)
    said = set()
    for _ in range(60):
        changed = bytearray(content)
        for at in random.integers(start, file.image.data_start + end, 40):
            changed[at] = random.integers(256)
        path.write_bytes(changed)
        try:
            box_of(FitsFile(path), slice(0, 200), slice(0, 200))
        except ValueError as error:
            said.add(str(error)[:17])
    assert said == {"a tile is damaged"}
