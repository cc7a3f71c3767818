"""Headers of images: each card, and where the data begins, are astropy's."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lensctl.io.fits.header import find_image, read_header
from lensctl.io.imaging.local_bricks import FitsFile


@pytest.fixture(scope="module")
def root(small_survey: Path) -> Path:
    return small_survey


def test_our_headers_are_astropys(root: Path) -> None:
    for file in root.rglob("*.fits*"):
        mine = FitsFile(file).image
        with fits.open(file, disable_image_compression=True) as hdus:
            theirs = hdus[mine.extension].header
            assert mine.data_start == hdus[mine.extension]._data_offset
            for key, value in mine.header.items():
                assert theirs[key] == value, key
            assert set(theirs) - {"", "COMMENT", "HISTORY", "CONTINUE"} == set(mine.header)


def cards(**values: object) -> bytes:
    """A header of one extension, as it stands in a file."""
    lines = [f"{key:<8}= {value}".ljust(80) for key, value in values.items()]
    text = "".join([*lines, "END".ljust(80)])
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


PACKED = {
    "XTENSION": "'BINTABLE'",
    "BITPIX": 8,
    "NAXIS": 2,
    "NAXIS1": 8,
    "NAXIS2": 9,
    "ZIMAGE": "T",
    "ZNAXIS": 2,
    "ZNAXIS1": 300,
    "ZNAXIS2": 300,
    "ZTILE1": 100,
    "ZTILE2": 100,
}


def test_a_header_as_it_should_be_is_one() -> None:
    assert find_image(io.BytesIO(cards(**PACKED))).shape == (300, 300)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ZNAXIS1": 949_000, "ZNAXIS2": 949_000},
        {"ZNAXIS1": "1E999"},
        {"ZNAXIS1": "T"},
        {"ZNAXIS1": 0},
        {"ZNAXIS": 10**9},
        {"ZTILE1": 0},
        {"ZTILE1": -100},
        {"NAXIS2": 10**12},
        {"PCOUNT": 10**13},
        {"ZNAXIS1": 20_000, "ZNAXIS2": 20_000, "ZTILE1": 20_000, "ZTILE2": 20_000, "NAXIS2": 1},
    ],
)
def test_an_image_that_no_coadd_can_be_is_refused_from_its_header(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"image|tiles|ZNAXIS|ZTILE|NAXIS"):
        find_image(io.BytesIO(cards(**(PACKED | wrong))))


def test_a_text_goes_on_in_continue_cards_as_astropy_has_it() -> None:
    made = fits.PrimaryHDU()
    texts = ["it's " * 40, "&" * 200, " " * 150 + "&", "a" * 68 + "&", "short"]
    for number, text in enumerate(texts):
        made.header[f"TEXT{number}"] = text
    file = io.BytesIO()
    made.writeto(file)
    file.seek(0)
    header, _ = read_header(file)
    assert [header[f"TEXT{number}"] for number in range(len(texts))] == [text.rstrip() for text in texts]


def test_a_text_that_is_given_twice_is_the_first() -> None:
    lines = [
        "XTENSION= 'BINTABLE'",
        "A       = 'one &'",
        "CONTINUE  'two'",
        "A       = 'other &'",
        "CONTINUE  'more'",
        "END",
    ]
    header, _ = read_header(io.BytesIO("".join(line.ljust(80) for line in lines).ljust(2880).encode()))
    assert header["A"] == "one two"


def test_a_header_without_an_end_is_not_read_for_ever() -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b"XTENSION".ljust(size)

    with pytest.raises(ValueError, match="without an end"):
        read_header(Endless())


def test_a_gzipped_image_is_unpacked_up_to_its_end_and_no_further(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=">f4").reshape(3, 4)
    image = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(image)
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(image.getvalue() + bytes(100_000_000)))
    file, target = FitsFile(path), np.zeros((2, 2), np.float32)
    assert file.path.stat().st_size == len(image.getvalue())
    file.fill(slice(1, 3), slice(0, 2), target)
    file.close()
    assert target.tolist() == pixels[1:3, :2].tolist()
    path.write_bytes(gzip.compress(image.getvalue()[:2890]))
    with pytest.raises((ValueError, EOFError), match="truncated"):
        FitsFile(path)
