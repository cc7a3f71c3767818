"""Requests to the cutout service, and validation of its responses: every failure gets a status."""

from __future__ import annotations

import dataclasses
import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lensctl.io.addresses import Address, address_of
from lensctl.io.fits.header import Header, count_of, number_of, read_header
from lensctl.io.imaging.bricks import release_of_layer
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

NO_SUCH_LAYER = b"no such layer"
POSITION_PX = 0.5
SCALE_SHARE = 1e-3
WRONG_TRIES, OUTSIDE_TRIES = 2, 3  # requests until a wrong response, or a server error without a brick, is final
MANY = 1000
ONE_MORE_KILOBYTE = 1024


@dataclass(frozen=True)
class CutoutRequest:
    """Parameters of every request of a run.

    Parameters
    ----------
    server : Address
        Of the service, without the last component.
    size : int
        Side in pixels.
    pixscale : float
        arcsec per pixel.
    survey : Survey
        Its bands are asked for.
    release : str, optional
        The only release accepted.
    """

    server: Address
    size: int = LS_DR10.cutout_size_px
    layer: str = LS_DR10.layer
    pixscale: float = LS_DR10.pixel_scale_arcsec
    survey: Survey = LS_DR10
    release: str | None = None

    @classmethod
    def of(cls, url: str, size: int, survey: Survey, layer: str, pixscale: float, allow_release: bool) -> CutoutRequest:
        """Parameters of a run; accepts only the layer's release, or any with `allow_release`.

        Raises InputError for an invalid address, and if the service cannot show the survey.
        """
        if not layer or any(len(band) > 1 for band in survey.bands):
            why = "names no layer" if not layer else "has bands of more than one letter"
            raise InputError(
                f"the cutout service cannot show survey {survey.name}, which {why}", "use coadds, with --root"
            )
        release = None if allow_release else release_of_layer(layer)
        return cls(_service_of(url), size, layer, pixscale, survey, release)

    @property
    def url(self) -> str:
        """The address of the service, without secrets."""
        return self.server.base

    @property
    def bands(self) -> str:
        """The bands, one letter each."""
        return self.survey.band_string

    def address(self, ra: float, dec: float) -> str:
        """URL of one cutout, with every parameter explicit, and without secrets; `server.sent` adds them."""
        return (
            f"{self.url}/fits-cutout?ra={ra!r}&dec={dec!r}&size={self.size}&layer={self.layer}"
            f"&pixscale={self.pixscale!r}&bands={self.bands}"
        )

    @property
    def usual(self) -> int:
        """Approximate size of a response in bytes."""
        return self.size**2 * len(self.bands) * 4 + (1 << 16)

    @property
    def longest(self) -> int:
        """Size in bytes above which a response cannot be a cutout."""
        return 4 * self.usual + (1 << 20)


def _service_of(url: str) -> Address:
    """The cutout service at an address, which may end in /viewer or be the host alone."""
    server = address_of(url, "--url")
    on_host_alone = server.base.count("/") == 2
    return dataclasses.replace(server, base=f"{server.base}/viewer") if on_host_alone else server


@dataclass(frozen=True)
class Answer:
    """A judged response.

    Parameters
    ----------
    status : str, optional
        Why there is no cutout; None if there is one.
    image : (S, S, B) float32, optional
        Nanomaggies; as in the response, big-endian and plane by plane.
    error : str
        The reason as text.
    tries : int
        Number of times this must be received before it is final.
    alive : bool
        The service responded; False if it may be down.
    wait : float, optional
        Seconds the service asked us to wait.
    """

    status: str | None = None
    image: NDArray[np.float32] | None = None
    release: str | None = None
    error: str | None = None
    http_status: int | None = None
    tries: int = 1
    alive: bool = True
    wait: float | None = None
    maybe_outside: bool = False
    no_layer: bool = False


def judge(request: CutoutRequest, ra: float, dec: float, http_status: int, body: bytes) -> Answer:
    """Validate a complete response.

    Pixel statuses (missing_band, nan_center) are left to `quality.measure`.
    """
    if http_status != 200:
        return _refused(http_status, body)
    if body[:64].strip().lower().startswith(NO_SUCH_LAYER):
        reason = f"the service knows no layer {request.layer}"
        return Answer("bad_file", error=reason, http_status=200, tries=OUTSIDE_TRIES, no_layer=True)
    try:
        header, start = read_header(io.BytesIO(body))
        shape = _image_shape(header)
    except (ValueError, KeyError) as broken:
        return Answer("bad_file", error=f"not a FITS image: {broken}", http_status=200, tries=MANY, alive=False)
    needed = start + 4 * math.prod(shape)
    if len(body) < needed:
        return Answer(
            "bad_file", error=f"truncated: {len(body)} of {needed} bytes", http_status=200, tries=MANY, alive=False
        )
    release = str(header["VERSION"]).strip() if "VERSION" in header else None
    wrong = _wrong(request, ra, dec, header, shape, release)
    if wrong:
        return Answer(wrong[0], release=release, error=wrong[1], http_status=200, tries=WRONG_TRIES)
    planes = np.frombuffer(body, ">f4", math.prod(shape), start).reshape(shape)
    return Answer(image=planes.transpose(1, 2, 0), release=release, http_status=200)


def _refused(http_status: int, body: bytes) -> Answer:
    error = f"HTTP {http_status}"
    if http_status == 400:
        return Answer("outside_footprint", error=error, http_status=400)
    if http_status == 500 and b"<html" in body[:ONE_MORE_KILOBYTE].lower():
        return Answer("outside_footprint", error=error, http_status=500, tries=OUTSIDE_TRIES, maybe_outside=True)
    if http_status >= 500 or http_status in (408, 425, 429):
        return Answer("http_error", error=error, http_status=http_status, tries=MANY, alive=False)
    return Answer("http_error", error=error, http_status=http_status, tries=WRONG_TRIES)


def _image_shape(header: Header) -> tuple[int, int, int]:
    if header.get("BITPIX") != -32:
        raise ValueError(f"BITPIX {header.get('BITPIX')}")
    axes = count_of(header, "NAXIS")
    if axes not in (2, 3):
        raise ValueError(f"NAXIS {axes}")
    planes = count_of(header, "NAXIS3") if axes == 3 else 1
    return planes, count_of(header, "NAXIS2"), count_of(header, "NAXIS1")


def _wrong(
    request: CutoutRequest, ra: float, dec: float, header: Header, shape: tuple[int, int, int], release: str | None
) -> tuple[str, str] | None:
    """Status and reason of an image that is not the requested one, else None."""
    if shape[1:] != (request.size, request.size):
        return "wrong_shape", f"{shape[1]}x{shape[2]} px, not {request.size}x{request.size}"
    bands = str(header.get("BANDS", "")).strip()
    if bands != request.bands:
        return "wrong_bands", f"bands '{bands}', not '{request.bands}'"
    if shape[0] != len(request.bands):
        return "wrong_shape", f"{shape[0]} planes, not {len(request.bands)}"
    off = _off_centre_px(request, ra, dec, header)
    if not off <= POSITION_PX:
        return "wrong_position", "no position" if math.isnan(off) else f"centred {off:.1f} px off"
    scale = _scale_arcsec(header)
    if not abs(scale - request.pixscale) <= SCALE_SHARE * request.pixscale:
        shown = "no pixel scale" if math.isnan(scale) else f"{scale:.4f} arcsec per pixel"
        return "wrong_position", f"{shown}, not {request.pixscale}"
    if request.release and release and release != request.release:
        return "wrong_release", f"release {release}, not {request.release}"
    return None


def _off_centre_px(request: CutoutRequest, ra: float, dec: float, header: Header) -> float:
    """Distance of the requested position from the image centre in pixels; NaN without a position."""
    ra0, dec0, x0, y0 = (number_of(header, key) for key in ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"))
    east = (ra - ra0 + 180.0) % 360.0 - 180.0
    px = 3600.0 / request.pixscale
    sky = math.hypot(east * math.cos(math.radians(dec)) * px, (dec - dec0) * px)
    middle = (request.size + 1) / 2
    return sky + math.hypot(x0 - middle, y0 - middle)


def _scale_arcsec(header: Header) -> float:
    """Side of a pixel; NaN where the header does not say."""
    a, d = (number_of(header, f"CD{i}_{i}") for i in (1, 2))
    b, c = (number_of(header, key) if key in header else 0.0 for key in ("CD1_2", "CD2_1"))
    return 3600.0 * math.sqrt(abs(a * d - b * c))


def shown_layer(request: CutoutRequest, ra: float, dec: float) -> str:
    """The layer a position is really shown from: in the north, where the survey has no images, another one."""
    northern = request.layer == request.survey.layer and bool(request.survey.is_north(ra, dec))
    return request.survey.northern_layer if northern else request.layer
