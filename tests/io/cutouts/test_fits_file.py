"""One FITS cutout: the layouts surveys use give the same pixels, and what is not the cutout asked for says why."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lensctl.io.cutouts.fits_file import FitsForm, UnknownUnit, Unusable, read_cutout, zero_points_of
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys.fits_cutouts import header_of, write_compressed, write_cube, write_images
from tests.toys.surveys import INFRARED, ONE_BAND

RA, DEC, SIZE = 150.0, 2.0, 21
SCALE = LS_DR10.pixel_scale_arcsec
FORM = FitsForm(LS_DR10, SIZE)
PIXELS = np.random.default_rng(3).normal(0, 1, (SIZE, SIZE, 3)).astype(np.float32)


def header(**cards: object) -> fits.Header:
    return header_of(RA, DEC, SIZE, SCALE, **cards)


def read(path: Path, form: FitsForm = FORM, ra: float = RA, dec: float = DEC):
    return read_cutout(path, ra, dec, form)


LAYOUTS = {
    "a cube": lambda path: write_cube(path, PIXELS, header()),
    "a cube that names its bands": lambda path: write_cube(path, PIXELS, header(BANDS="grz")),
    "a cube that numbers its bands": lambda path: write_cube(path, PIXELS, header(BAND0="g", BAND1="r", BAND2="z")),
    "an image a band": lambda path: write_images(path, PIXELS, header(), "grz"),
    "images in another order, in capitals": lambda path: write_images(path, PIXELS[..., ::-1], header(), "ZRG"),
    "compressed images": lambda path: write_compressed(path, PIXELS, header(), "grz"),
    "images of which one is none of ours": lambda path: write_images(
        path, np.dstack([PIXELS, PIXELS[..., :1]]), header(), ("g", "r", "z", "mask")
    ),
    "a CD matrix": lambda path: write_cube(
        path, PIXELS, header(CDELT1=None, CDELT2=None, CD1_1=-SCALE / 3600, CD2_2=SCALE / 3600)
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_cutout(tmp_path, layout):
    LAYOUTS[layout](tmp_path / "1.fits")
    found = read(tmp_path / "1.fits")
    assert found.image.dtype == np.float32
    np.testing.assert_array_equal(found.image, PIXELS)
    assert found.offset_px == pytest.approx((0, 0), abs=1e-6)
    assert found.pixel_scale_arcsec == SCALE


def test_a_file_a_band(tmp_path):
    files = {band: tmp_path / f"1-{band}.fits" for band in "grz"}
    for b, file in enumerate(files.values()):
        fits.PrimaryHDU(PIXELS[..., b], header()).writeto(file)
    np.testing.assert_array_equal(read_cutout(files, RA, DEC, FORM).image, PIXELS)
    fits.PrimaryHDU(PIXELS[..., 0], header(FILTER="z")).writeto(files["r"], overwrite=True)
    with pytest.raises(Unusable, match="1-r.fits is of band z, not r"):
        read_cutout(files, RA, DEC, FORM)


def test_one_band_needs_no_name_and_a_cutout_of_even_size_has_its_galaxy_between_pixels(tmp_path):
    fits.PrimaryHDU(PIXELS[:20, :20, 0], header_of(RA, DEC, 20, SCALE)).writeto(tmp_path / "1.fits")
    found = read(tmp_path / "1.fits", FitsForm(ONE_BAND, 20))
    assert found.image.shape == (20, 20, 1)
    assert found.offset_px == pytest.approx((-0.5, -0.5), abs=1e-6)


def test_north_is_up_as_in_the_file_and_the_offset_is_of_the_galaxy(tmp_path):
    write_cube(tmp_path / "1.fits", PIXELS, header())
    found = read(tmp_path / "1.fits", dec=DEC + 0.4 * SCALE / 3600, ra=RA)
    assert found.offset_px == pytest.approx((0, 0.4), abs=1e-4)


UNITS = {"nanomaggy": 1.0, "nmgy": 1.0, "uJy": 1 / 3.631, "nJy": 1 / 3631}


@pytest.mark.parametrize("unit", UNITS)
def test_flux_densities_become_nanomaggies(tmp_path, unit):
    write_cube(tmp_path / "1.fits", PIXELS, header(BUNIT=unit))
    np.testing.assert_allclose(read(tmp_path / "1.fits").image, PIXELS * UNITS[unit], rtol=1e-5)


def test_zero_points_make_nanomaggies_of_counts_whatever_the_header_says(tmp_path):
    write_cube(tmp_path / "1.fits", PIXELS, header(BUNIT="adu"))
    found = read(tmp_path / "1.fits", FitsForm(LS_DR10, SIZE, zero_points_of("g=22.5,r=25,z=27.5", "grz")))
    np.testing.assert_allclose(found.image, PIXELS * [1, 0.1, 0.01], rtol=1e-6)
    assert zero_points_of("27", "grz") == {"g": 27, "r": 27, "z": 27}


@pytest.mark.parametrize(
    "text", ["", "x", "27,28,29", "g=27", "g=27,r=27,z=x", "g=27,r=27,z=27,y=27", "nan", "g=2,g=3"]
)
def test_zero_points_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="is no AB magnitude for g, r, z"):
        zero_points_of(text, "grz")


@pytest.mark.parametrize("unit", [None, "adu", "electron / s", "MJy / sr", "count of photons"])
def test_pixels_of_no_known_unit_say_so(tmp_path, unit):
    write_cube(tmp_path / "1.fits", PIXELS, header(BUNIT=unit))
    with pytest.raises(UnknownUnit, match="give the AB magnitude of a count with --zero-point"):
        read(tmp_path / "1.fits")


def damage(path: Path, end: int) -> None:
    write_images(path, PIXELS, header(), "grz")
    path.write_bytes(path.read_bytes()[:end])


def with_broken_card(path: Path) -> bytes:
    write_images(path, PIXELS, header(FILTER="ours"), "grz")
    return path.read_bytes().replace(b"FILTER  = 'ours    '", b"FILTER  = 'ours \x7f   ")


WRONG = {
    "another size": (lambda p: write_cube(p, PIXELS[:19, :19], header()), "wrong_shape", "19x19 px, not 21x21"),
    "not square": (lambda p: write_cube(p, PIXELS[:19], header()), "wrong_shape", "21x19 px, not 21x21"),
    "four axes": (
        lambda p: fits.PrimaryHDU(np.zeros((1, 3, SIZE, SIZE), "f4"), header()).writeto(p),
        "wrong_shape",
        "21x21x3x1",
    ),
    "bands in another order": (
        lambda p: write_cube(p, PIXELS, header(BANDS="zrg")),
        "wrong_bands",
        "bands z, r, g, not g, r, z",
    ),
    "a band too few": (
        lambda p: write_cube(p, PIXELS[..., :2], header()),
        "wrong_bands",
        "no image of band g, r, z (2 without a name)",
    ),
    "more names than planes": (lambda p: write_cube(p, PIXELS, header(BANDS="griz")), "wrong_bands", "of 3 planes"),
    "an image missing": (lambda p: write_images(p, PIXELS, header(), "gr"), "wrong_bands", "no image of band z (g, r)"),
    "images without names": (
        lambda p: write_images(p, PIXELS, header(), ("", "", "")),
        "wrong_bands",
        "no image of band g, r, z (3 without a name)",
    ),
    "another place": (
        lambda p: write_cube(p, PIXELS, header(CRVAL2=DEC + 5 * SCALE / 3600)),
        "wrong_position",
        "5.0 px off the middle",
    ),
    "the other side of the sky": (
        lambda p: write_cube(p, PIXELS, header(CRVAL1=RA + 180, CRVAL2=-DEC)),
        "wrong_position",
        "the galaxy is ",
    ),
    "no position": (
        lambda p: write_cube(p, PIXELS, header(CTYPE1=None, CTYPE2=None)),
        "wrong_position",
        "no position in RA and Dec",
    ),
    "Galactic coordinates": (
        lambda p: write_cube(p, PIXELS, header(CTYPE1="GLON-TAN", CTYPE2="GLAT-TAN")),
        "wrong_position",
        "no position in RA and Dec",
    ),
    "a broken position": (lambda p: write_cube(p, PIXELS, header(CDELT1=0.0)), "wrong_position", "cannot be read"),
    "another scale": (
        lambda p: write_cube(p, PIXELS, header(CDELT1=-5e-5, CDELT2=5e-5)),
        "wrong_position",
        "0.18 arcsec",
    ),
    "nothing": (lambda p: p.write_bytes(b""), "bad_file", "is not FITS"),
    "text": (lambda p: p.write_text("404 Not Found\n" * 300), "bad_file", "is not FITS"),
    "a table": (
        lambda p: fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([])]).writeto(p),
        "bad_file",
        "holds no image",
    ),
    "cut short in the header": (lambda p: damage(p, 3000), "bad_file", "holds no image"),
    "cut short in the pixels": (lambda p: damage(p, 2880 * 2 + 1000), "bad_file", "is damaged"),
    "no file": (lambda p: None, "bad_file", "no file 1.fits"),
    "a card that cannot be read": (lambda p: p.write_bytes(with_broken_card(p)), "bad_file", "1.fits is damaged"),
    "a size that no file holds": (
        lambda p: p.write_bytes(fits.PrimaryHDU(header=header()).header.tostring().encode()),
        "bad_file",
        "holds no image",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_the_cutout_asked_for_says_why(tmp_path, case):
    spoil, status, reason = WRONG[case]
    spoil(tmp_path / "1.fits")
    with pytest.raises(Unusable) as raised:
        read(tmp_path / "1.fits")
    assert (raised.value.status, reason in raised.value.reason) == (status, True), raised.value.reason


def test_a_header_that_promises_more_than_any_cutout_is_refused_before_it_is_read(tmp_path):
    write_cube(tmp_path / "1.fits", PIXELS, header())
    data = (tmp_path / "1.fits").read_bytes()
    for side in (b"  300000", b"99999999"):
        (tmp_path / "1.fits").write_bytes(
            data.replace(b"NAXIS1  =                   21", b"NAXIS1  =             " + side)
        )
        with pytest.raises(Unusable):
            read(tmp_path / "1.fits")


def test_a_pipe_in_the_place_of_a_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "1.fits")
    with pytest.raises(InputError, match="is a device or a pipe"):
        read(tmp_path / "1.fits")


def test_names_of_several_letters(tmp_path):
    form, image = FitsForm(INFRARED, SIZE), np.dstack([PIXELS, PIXELS[..., :1]])
    for said in ("VIS,Y,J,H", "VIS Y J H"):
        write_cube(tmp_path / "1.fits", image, header_of(RA, DEC, SIZE, 0.1, BANDS=said))
        np.testing.assert_array_equal(read(tmp_path / "1.fits", form).image, image)
    write_cube(tmp_path / "1.fits", image, header_of(RA, DEC, SIZE, 0.1, BANDS="VIS,H,J,Y"))
    with pytest.raises(Unusable, match="bands VIS, H, J, Y, not VIS, Y, J, H"):
        read(tmp_path / "1.fits", form)
