"""One injection: what is drawn is rendered, gets its noise, and is added to a real cutout."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import photon_noise
from lensctl.injection import drawing, rendering
from lensctl.injection.design import DEFAULT, Design
from lensctl.injection.drawing import Geometry, Host, Source
from lensctl.injection.streams import NOISE, stream
from lensctl.injection.variations import STANDARD, VARIATIONS, Variation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lensctl.injection.stamps import Stamps
    from lensctl.rules.survey import Survey

NOISES = ("resampled", "white", "none")


@dataclass(frozen=True)
class Settings:
    """What decides an injection beside the host; see `lensctl inject --help`."""

    seed: int = 42
    design: Design = DEFAULT
    source_model: str = "mixed"
    psf_beta: float = 2.5
    noise: str = "resampled"
    control: str | None = None
    vary: str | None = None

    @property
    def variation(self) -> Variation:
        """What differs from the standard injection."""
        return VARIATIONS[self.vary] if self.vary else STANDARD


@dataclass(frozen=True)
class Target:
    """A host with its pixels, and what is known of them.

    Parameters
    ----------
    host, following : Host
        The galaxy, and the next one in MD5 order, whose Einstein radius and source the control `swapped` takes.
    psfsize : (B,) float64
        Arcsec.
    transmission : (B,) float64
        Of the Galaxy's dust: 1 is none.
    magnitude : (B,) float64
        Of the host, as observed; NaN where unknown.
    gain : (B,) float64
        Electrons per nanomaggy; NaN until its pixels are read.
    kernels : list of (k, k) float32, optional
        Its PSF in each band, in place of a Moffat.
    """

    host: Host
    following: Host
    psfsize: NDArray[np.float64]
    transmission: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    gain: NDArray[np.float64]
    kernels: Sequence[NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class Injected:
    """Pixels after injection, the arcs alone, and the columns that describe them.

    `image`, `invvar` (or None) and `arcs` are (S, S, B) float32.
    """

    image: NDArray[np.float32]
    invvar: NDArray[np.float32] | None
    arcs: NDArray[np.float32]
    columns: dict[str, float | int | str]


class Injector:
    """Injects into cutouts of one survey and size.

    Parameters
    ----------
    settings : Settings
    survey : Survey
    size : int
        Side of a cutout, pixels.
    shares : (B,) float64
        Share of a pixel's noise variance that is its own, where neighbours share noise (`photon_noise`).
    stamps : Stamps, optional
        Images of sources.
    """

    def __init__(
        self,
        settings: Settings,
        survey: Survey,
        size: int,
        shares: NDArray[np.float64],
        stamps: Stamps | None = None,
    ) -> None:
        self.settings, self.survey, self.stamps = settings, survey, stamps
        self.renderer = rendering.Renderer(survey, size)
        self._noise = settings.variation.noise or settings.noise
        self._kernels = [photon_noise.kernel_of_share(float(share)) for share in shares]
        self._detection = survey.bands.index(survey.detection_band)

    def drawn(self, target: Target, k: int) -> tuple[Geometry, Source]:
        """Lens and source of injection k of a host."""
        s, change = self.settings, self.settings.variation
        lender = target.following if s.control == "swapped" else target.host
        host = target.host if change.q_of_host else dataclasses.replace(target.host, q=None)
        theta_e = None
        if s.control == "swapped":
            theta_e = drawing.geometry_of(lender, s.design, s.seed, k).lens.theta_e
        geometry = drawing.geometry_of(host, s.design, s.seed, k, theta_e)
        number = len(self.stamps.images) if self.stamps is not None else 0
        return geometry, change.applied(drawing.source_of(lender, s.design, s.seed, k, s.source_model, number))

    def inject(
        self, target: Target, k: int, image: NDArray[np.float32], invvar: NDArray[np.float32] | None
    ) -> Injected:
        """Add injection k to the cutout of a host: (S, S, B) float32 nanomaggies, and its invvar where there is one.

        NaN stays NaN, exact zeros stay zero (the cutout service's and the coadds' sign of no data), and nothing is
        clipped. The variance grows by that of the light added.
        """
        s = self.settings
        geometry, source = self.drawn(target, k)
        relative = rendering.magnitudes_of(self.survey, source.colours)  # to the detection band
        images = self.renderer.traced(geometry, source, self.stamps)
        magnification = images.sum(axis=(1, 2))
        source_mag = source.lensed_mag + 2.5 * np.log10(magnification[self._detection]) + relative
        lensed_mag = source_mag - 2.5 * np.log10(magnification)
        arc_mag = lensed_mag - 2.5 * np.log10(target.transmission)
        if s.control == "grey":
            shift = target.magnitude - target.magnitude[self._detection]
            arc_mag = np.where(np.isfinite(shift), arc_mag[self._detection] + shift, arc_mag)
            lensed_mag = arc_mag + 2.5 * np.log10(target.transmission)
        flux = 10 ** (0.4 * (22.5 - arc_mag))
        shape = self.shaped(geometry, source, images)
        kernels = target.kernels or self.renderer.kernels(
            target.psfsize * s.variation.psfsize_factor, s.variation.psf_beta or s.psf_beta
        )
        light = self.renderer.seen(shape * flux[:, None, None], kernels)
        noise = np.zeros_like(light) if s.control == "null" else self._noise_of(target, k, light)
        light = np.ascontiguousarray(np.moveaxis(light, 0, -1))
        added = np.zeros_like(light) if s.control in ("null", "noise") else light
        result = image.copy()
        if s.control != "null":
            np.add(result, added + np.moveaxis(noise, 0, -1), out=result, where=image != 0)
        worse = invvar
        if invvar is not None and s.control != "null" and self._noise != "none":
            variance = np.maximum(light, 0) / (target.gain * s.variation.gain_factor)
            with np.errstate(divide="ignore", invalid="ignore"):
                grown = (1 / (1 / invvar.astype(np.float64) + variance)).astype(np.float32)
            worse = np.where(invvar > 0, grown, invvar)
        columns = self._described(target, k, geometry, source)
        per_band = {
            "source_mag": source_mag,
            "lensed_mag": lensed_mag,
            "arc_mag": arc_mag,
            **_visibility(light, image, invvar),
        }
        for name, values in per_band.items():
            columns |= {f"{name}_{band}": float(v) for band, v in zip(self.survey.bands, values, strict=True)}
        columns["magnification"] = float(magnification[self._detection])
        bluer, redder = (self.survey.bands.index(band) for band in self.survey.colours[0])
        host_colour = target.magnitude[bluer] - target.magnitude[redder]
        first, _ = self.survey.colour_columns
        columns[f"source_{first}"] = float(source_mag[bluer] - source_mag[redder])
        columns[f"delta_{first}"] = float(arc_mag[bluer] - arc_mag[redder] - host_colour)
        return Injected(result, worse, added, columns)

    def shaped(self, geometry: Geometry, source: Source, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """The light before the PSF as a control has it, of unit flux in each band: (B, s, s)."""
        scale = self.survey.pixel_scale_arcsec
        if self.settings.control == "unlensed":
            images = self.renderer.traced(geometry, source, self.stamps, lensed=False)
        elif self.settings.control == "radial":
            x, y = rendering.centroid_px(images[self._detection])
            images = self.renderer.traced(geometry, source, self.stamps, turned=(x * scale, y * scale))
        elif self.settings.control == "axisymmetric":
            images = rendering.azimuthal_mean(images, geometry.lens.x / scale, geometry.lens.y / scale)
        return np.asarray(images / images.sum(axis=(1, 2), keepdims=True))

    def _noise_of(self, target: Target, k: int, light: NDArray[np.float32]) -> NDArray[np.float32]:
        """Photon noise of the light alone: (B, S, S)."""
        if self._noise == "none":
            return np.zeros_like(light)
        rng = stream(self.settings.seed, target.host.id, k, NOISE)
        gain = target.gain * self.settings.variation.gain_factor
        return np.stack(
            [
                photon_noise.noise_of(band, float(g), rng, kernel if self._noise == "resampled" else None)
                for band, g, kernel in zip(light, gain, self._kernels, strict=True)
            ]
        )

    def _described(self, target: Target, k: int, geometry: Geometry, source: Source) -> dict[str, float | int | str]:
        lens, main = geometry.lens, source.main
        return {
            "host_id": target.host.id,
            "k": k,
            "control": self.settings.control or "",
            "vary": self.settings.vary or "",
            "theta_e": lens.theta_e,
            "lens_q": lens.q,
            "lens_phi": lens.phi,
            "gamma1": lens.gamma1,
            "gamma2": lens.gamma2,
            "source_x": geometry.source_x,
            "source_y": geometry.source_y,
            "source_r_half": main.r_half,
            "source_n": main.n,
            "source_q": main.q,
            "source_phi": main.phi,
            "source_model": source.model,
            "n_images": geometry.n_images,
            "psf_beta": self.settings.variation.psf_beta or self.settings.psf_beta,
            **{f"gain_{band}": float(g) for band, g in zip(self.survey.bands, target.gain, strict=True)},
        }


def _visibility(
    light: NDArray[np.float32], image: NDArray[np.float32], invvar: NDArray[np.float32] | None
) -> dict[str, NDArray[np.float64]]:
    """Signal-to-noise of the arcs, sqrt(sum light^2 invvar), their peak, and their contrast to the host there: (B,)."""
    light, image = (each.reshape(-1, each.shape[-1]) for each in (light, image))
    each_band = np.arange(light.shape[1])
    at = light.argmax(axis=0)
    highest, below = light[at, each_band].astype(np.float64), image[at, each_band].astype(np.float64)
    snr = np.full(len(each_band), np.nan)
    if invvar is not None:
        weight = invvar.reshape(light.shape)
        snr = np.sqrt((light * light * np.where(weight > 0, weight, 0)).sum(axis=0, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = np.where(below > 0, highest / below, np.nan)
    return {"arc_snr": snr, "arc_peak": highest, "arc_contrast": contrast}
