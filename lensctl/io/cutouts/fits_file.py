"""One cutout as FITS: a cube, an image a band, or a file a band, compared with the survey that it must be of.

Of every image the bands, size, pixel scale and position are compared as far as its header says them.
"""

from __future__ import annotations

import functools
import io
import math
import re
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from lensctl.io.cutouts.layout import LARGEST_PX
from lensctl.io.cutouts.npz import read_bounded
from lensctl.io.paths import refuse_device
from lensctl.rules.errors import InputError, first_line
from lensctl.rules.survey import Survey

POSITION_PX = 1.0
"""How far from the middle the galaxy may lie, along either axis: a cut at whole pixels, rounded up or down."""

SCALE_TOLERANCE = 0.01
MOST_HDUS = 64
AB_ZERO_POINT_JY = 3631.0
NANOMAGGY_MAG = 22.5
BAND_KEYS = ("BAND", "FILTER", "EXTNAME")
UNIT, NO_UNIT = "BUNIT", "give the AB magnitude of a count with --zero-point"

BROKEN = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    MemoryError,
    OverflowError,
    RuntimeError,
    struct.error,
    ZlibError,
)
"""What damaged files make astropy raise."""

Image = NDArray[np.float32]


class Unusable(Exception):
    """Why there is no cutout: a status, and the reason as text."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class UnknownUnit(Unusable):
    """The header does not say in what the pixels are counted."""


@dataclass(frozen=True)
class FitsCutout:
    """Pixels (S, S, B) float32 in nanomaggies, and the offset of the galaxy from pixel S // 2 along x and y."""

    image: Image
    offset_px: tuple[float, float]
    pixel_scale_arcsec: float


@dataclass(frozen=True)
class FitsForm:
    """What FITS cutouts must be.

    Parameters
    ----------
    survey : Survey
        Its bands, in this order, and its pixel scale.
    size : int
        Side in pixels.
    zero_points : mapping, optional
        AB magnitude of one count, by band; without it the unit is BUNIT.
    """

    survey: Survey
    size: int
    zero_points: Mapping[str, float] | None = None


@dataclass(frozen=True)
class _Plane:
    """One image of a file: its band if that is said, its pixels as (H, W), and the header."""

    band: str
    pixels: NDArray[Any]
    header: Any


def read_cutout(files: Mapping[str, Path] | Path, ra: float, dec: float, form: FitsForm) -> FitsCutout:
    """Read the cutout of one galaxy.

    Parameters
    ----------
    files : Path, or mapping of bands to Paths
        The file, or one a band.
    ra, dec : float
        Of the galaxy, degrees.
    form : FitsForm

    Raises
    ------
    Unusable
        With bad_file, wrong_shape, wrong_bands or wrong_position; UnknownUnit, a bad_file, for pixels of no known unit.
    InputError
        A device or a pipe in the place of a file.
    """
    from astropy.io.fits import VerifyError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read_cutout(files, ra, dec, form)
    except (*BROKEN, VerifyError) as error:
        names = [files.name] if isinstance(files, Path) else [file.name for file in files.values()]
        raise Unusable("bad_file", f"{' or '.join(names)} is damaged ({first_line(error, 80)})") from error


def _read_cutout(files: Mapping[str, Path] | Path, ra: float, dec: float, form: FitsForm) -> FitsCutout:
    bands = form.survey.bands
    if isinstance(files, Path):
        planes = _of_one_file(files, bands)
    else:
        planes = [_of_band(files[band], band, bands) for band in bands]
    image = np.empty((form.size, form.size, len(bands)), np.float32)
    places = {}
    for number, (band, plane) in enumerate(zip(bands, planes, strict=True)):
        if plane.pixels.shape != (form.size, form.size):
            height, width = plane.pixels.shape
            raise Unusable("wrong_shape", f"{width}x{height} px, not {form.size}x{form.size}")
        if id(plane.header) not in places:  # the planes of a cube share theirs
            places[id(plane.header)] = _place(plane.header, ra, dec, form)
        with np.errstate(all="ignore"):
            image[..., number] = plane.pixels * _nanomaggies(plane.header, band, form.zero_points)
    offset, scale = places[id(planes[0].header)]
    return FitsCutout(image, offset, scale)


def zero_points_of(text: str | float, bands: Sequence[str]) -> dict[str, float]:
    """AB magnitudes of one count by band, from `27` or `g=27,r=27.1`; InputError for anything else."""
    parts = [part.strip() for part in str(text).split(",")]
    pairs = [part.partition("=")[::2] for part in parts] if "=" in str(text) else [(band, parts[0]) for band in bands]
    found: dict[str, float] = {}
    for band, number in pairs:
        try:
            found[band.strip()] = float(number)
        except ValueError:
            found[band.strip()] = math.nan
    known = set(found) == set(bands) and ("=" in str(text) or len(parts) == 1)
    if not known or not all(-50 < value < 50 for value in found.values()):
        each = ",".join(f"{band}=27" for band in bands)
        raise InputError(f"--zero-point {text} is no AB magnitude for {', '.join(bands)}", f"write 27, or {each}")
    return found


def _images(path: Path) -> Iterator[tuple[Any, NDArray[Any]]]:
    """Headers and pixels of the images of a file."""
    from astropy.io import fits

    refuse_device(path)
    try:
        data = read_bounded(path)
    except FileNotFoundError:
        raise Unusable("bad_file", f"no file {path.name}") from None
    if data[:6] != b"SIMPLE":
        raise Unusable("bad_file", f"{path.name} is not FITS")
    with fits.open(io.BytesIO(data), memmap=False) as units:
        for number in range(MOST_HDUS):
            try:
                unit = units[number]
            except IndexError:
                return
            if not unit.is_image or not (shape := unit.shape):
                continue
            if len(shape) > 3 or max(shape) > LARGEST_PX or (len(shape) == 3 and shape[0] > MOST_HDUS):
                raise Unusable("wrong_shape", f"{path.name} holds {'x'.join(map(str, reversed(shape)))} px")
            pixels = unit.data
            if pixels is None or pixels.shape != shape:
                raise Unusable("bad_file", f"{path.name} is truncated")
            yield unit.header, pixels


def _read(path: Path, bands: Sequence[str]) -> list[_Plane]:
    """The planes of a file's first cube, or all its flat images; Unusable if it has none."""
    flat: list[_Plane] = []
    for header, pixels in _images(path):
        if pixels.ndim == 3 and not flat:
            names = _cube_bands(header) or [""] * len(pixels)
            if len(names) != len(pixels):
                raise Unusable("wrong_bands", f"bands {', '.join(names)} of {len(pixels)} planes")
            return [_Plane(name, plane, header) for name, plane in zip(names, pixels, strict=True)]
        if pixels.ndim == 2:
            flat.append(_Plane(_band(header, bands), pixels, header))
    if not flat:
        raise Unusable("bad_file", f"{path.name} holds no image")
    return flat


def _of_one_file(path: Path, bands: Sequence[str]) -> list[_Plane]:
    """The plane of each band of a file that holds them all; in the survey's order where a cube does not name them."""
    planes = _read(path, bands)
    names = [plane.band for plane in planes]
    if not any(names) and len(planes) == len(bands) and (len(bands) == 1 or planes[0].header is planes[-1].header):
        return planes
    if planes[0].header is planes[-1].header and any(names) and names != list(bands):
        raise Unusable("wrong_bands", f"bands {', '.join(names)}, not {', '.join(bands)}")
    by_band = {plane.band: plane for plane in planes}
    missing = [band for band in bands if band not in by_band]
    if missing:
        found = ", ".join(filter(None, names)) or f"{len(planes)} without a name"
        raise Unusable("wrong_bands", f"no image of band {', '.join(missing)} ({found})")
    return [by_band[band] for band in bands]


def _of_band(path: Path, band: str, bands: Sequence[str]) -> _Plane:
    """The image of a file that holds one band; a header that names another one is believed."""
    plane, *more = _read(path, bands)
    if more and more[0].header is plane.header:
        raise Unusable("wrong_bands", f"{path.name} holds {1 + len(more)} planes, not one of {band}")
    if plane.band in bands and plane.band != band:
        raise Unusable("wrong_bands", f"{path.name} is of band {plane.band}, not {band}")
    return plane


def _cube_bands(header: Any) -> list[str]:
    """Bands of the planes of a cube as BANDS, or BAND0, BAND1 and so on, name them; empty where neither is there."""
    numbered = [str(header[key]).strip() for key in (f"BAND{n}" for n in range(MOST_HDUS)) if key in header]
    text = str(header.get("BANDS", "")).strip()
    apart = re.split(r"[\s,]+", text)
    return numbered or (apart if len(apart) > 1 else list(text))


def _band(header: Any, bands: Sequence[str]) -> str:
    """The band of a flat image, if BAND, FILTER or EXTNAME is one of the survey's; else empty."""
    known = {band.lower(): band for band in bands}
    said = (str(header.get(key, "")).strip().lower() for key in BAND_KEYS)
    return next((known[name] for name in said if name in known), "")


def _place(header: Any, ra: float, dec: float, form: FitsForm) -> tuple[tuple[float, float], float]:
    """Offset from pixel S // 2 and pixel scale of an image; Unusable if it is another place or scale, or says none."""
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    try:
        wcs = WCS(header, naxis=2)
        if not wcs.has_celestial or wcs.wcs.lngtyp != "RA":
            raise Unusable("wrong_position", "the header has no position in RA and Dec")
        place = [ra, dec] if wcs.wcs.lng == 0 else [dec, ra]
        x, y = (float(number) for number in wcs.wcs_world2pix([place], 0)[0])
        scale = 3600.0 * float(np.sqrt(np.prod(proj_plane_pixel_scales(wcs))))
    except BROKEN as error:
        raise Unusable("wrong_position", f"the header's position cannot be read ({first_line(error, 80)})") from error
    wanted, middle = form.survey.pixel_scale_arcsec, (form.size - 1) / 2
    if not abs(scale / wanted - 1) <= SCALE_TOLERANCE:
        raise Unusable("wrong_position", f"{scale:.4g} arcsec per pixel, not {wanted:g}")
    off = max(abs(x - middle), abs(y - middle))
    if not off <= POSITION_PX:
        where = "out of reach" if math.isnan(off) else f"{off:.1f} px off the middle"
        raise Unusable("wrong_position", f"the galaxy is {where}")
    return (x - form.size // 2, y - form.size // 2), round(scale, 6)


def _nanomaggies(header: Any, band: str, zero_points: Mapping[str, float] | None) -> float:
    """Nanomaggies of one count; UnknownUnit if neither the header nor the zero points say them."""
    if zero_points is not None:
        return float(10 ** ((NANOMAGGY_MAG - zero_points[band]) / 2.5))
    unit = str(header.get(UNIT, "")).strip()
    factor = _of_unit(unit)
    if factor is None:
        raise UnknownUnit(
            "bad_file", f"{UNIT} is '{unit}', no flux density: {NO_UNIT}" if unit else f"no {UNIT}: {NO_UNIT}"
        )
    return factor


@functools.lru_cache(maxsize=64)  # files share theirs
def _of_unit(text: str) -> float | None:
    """Nanomaggies of a unit; None for one that is no flux density."""
    from astropy import units as u

    try:
        return float(u.Unit(text).to(u.nmgy, equivalencies=u.zero_point_flux(AB_ZERO_POINT_JY * u.Jy)))
    except (ValueError, TypeError, AttributeError, u.UnitsError):
        return None
