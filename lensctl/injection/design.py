"""The design of an injection: the distributions of lenses and sources, set before anything is scored."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensctl.rules.config import read_config
from lensctl.rules.errors import InputError

_STRICT = {"extra": "forbid", "allow_inf_nan": False}

Range = tuple[float, float]
Normal = tuple[float, float]

LARGEST_THETA_E_ARCSEC = 4.0
"""Images of a larger lens would leave the stamp on which they are traced."""


@dataclass(frozen=True)
class Design:
    """Ranges and distributions; a range is (least, greatest), a normal distribution (mean, standard deviation).

    A design is not a population: it says where the model is asked, not how often nature asks.

    Parameters
    ----------
    theta_e_arcsec : log-uniform
        Einstein radius.
    lensed_mag : uniform
        Magnitude of the arcs in the survey's detection band, before extinction.
    source_r_half_arcsec : log-uniform
        Half-light radius along the major axis.
    source_n : uniform
        Sersic index.
    source_q_scatter, source_q_least : float
        Axis ratio, 1 - Rayleigh(scatter), and its least value.
    colour_1, colour_2 : normal
        The survey's two colours, such as g - r and r - z, before extinction.
    colour_correlation : float
    colour_1_range, colour_2_range : range
        What the colours are clipped to.
    clumpy_share : float
        Share of sources that are clumpy where both kinds are drawn.
    disc_share : uniform
        Share of a clumpy source's light in its disc.
    clumps : range
        Number of clumps.
    clump_r_half_arcsec : uniform
    clump_bluer_mag : float
        By how much clumps are bluer than the disc in both colours.
    lens_q_offset : normal
        Axis ratio of the mass less that of the light.
    lens_q_range : range
    lens_angle_scatter_rad : float
        Of the mass's major axis about the light's.
    rex_q_scatter : float
        Axis ratio of the mass of a galaxy without a measured shape, 1 - Rayleigh(scatter).
    shear_scatter, shear_most : float
        External shear, |N(0, scatter)|, and its greatest value.
    """

    theta_e_arcsec: Range = (0.5, 3.5)
    lensed_mag: Range = (18.5, 24.0)
    source_r_half_arcsec: Range = (0.02, 1.2)
    source_n: Range = (0.5, 3.0)
    source_q_scatter: float = 0.3
    source_q_least: float = 0.2
    colour_1: Normal = (0.25, 0.30)
    colour_2: Normal = (0.45, 0.30)
    colour_correlation: float = 0.5
    colour_1_range: Range = (-0.5, 1.5)
    colour_2_range: Range = (-0.5, 1.6)
    clumpy_share: float = 0.5
    disc_share: Range = (0.60, 0.85)
    clumps: tuple[int, int] = (2, 6)
    clump_r_half_arcsec: Range = (0.03, 0.10)
    clump_bluer_mag: float = 0.2
    lens_q_offset: Normal = (0.05, 0.07)
    lens_q_range: Range = (0.4, 0.98)
    lens_angle_scatter_rad: float = 0.15
    rex_q_scatter: float = 0.27
    shear_scatter: float = 0.05
    shear_most: float = 0.15

    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        ranges = [field.name for field in dataclasses.fields(self) if field.type in ("Range", "tuple[int, int]")]
        for name in ranges:
            low, high = getattr(self, name)
            _refuse(low > high, f"{name} runs from {low:g} to {high:g}", "give the least value first")
        positive = ("theta_e_arcsec", "source_r_half_arcsec", "source_n", "clump_r_half_arcsec", "lens_q_range")
        for name in positive:
            _refuse(getattr(self, name)[0] <= 0, f"{name} begins at {getattr(self, name)[0]:g}", "it is above 0")
        largest = self.theta_e_arcsec[1]
        _refuse(
            largest > LARGEST_THETA_E_ARCSEC,
            f"theta_e_arcsec reaches {largest:g}",
            f"images would leave the stamp: {LARGEST_THETA_E_ARCSEC:g} at most",
        )
        _refuse(self.lens_q_range[1] > 0.999, "lens_q_range reaches 1", "0.98 is as round as a circle here")
        _refuse(self.source_n[1] > 8 or self.source_n[0] < 0.3, "source_n leaves 0.3 to 8", "Sersic indices lie there")
        _refuse(self.clumps[0] < 1, "clumps begins below 1", "give 1 or more, and clumpy_share 0 for none")
        for name in ("clumpy_share", "source_q_least", "shear_most"):
            _refuse(not 0 <= getattr(self, name) <= 1, f"{name} is {getattr(self, name):g}", "it lies between 0 and 1")
        low, high = self.disc_share
        _refuse(low < 0 or high > 1, "disc_share leaves 0 to 1", "it is a share of the light")
        _refuse(not -1 < self.colour_correlation < 1, "colour_correlation is no correlation", "between -1 and 1")
        scatters = [self.colour_1[1], self.colour_2[1], self.lens_q_offset[1], self.lens_angle_scatter_rad]
        scatters += [self.shear_scatter, self.source_q_scatter, self.rex_q_scatter]
        _refuse(min(scatters) < 0, "a standard deviation is below 0", "give 0 or more")
        _refuse(self.source_q_least <= 0, "source_q_least is 0", "a source has some width")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as a design file would have them."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }

    def digest(self) -> str:
        """SHA-256 of all values."""
        text = json.dumps(self.as_dict(), sort_keys=True, allow_nan=False)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _refuse(wrong: bool, message: str, fix: str) -> None:
    if wrong:
        raise InputError(f"design: {message}", fix)


DEFAULT = Design()


def read_design(path: str | Path | None) -> Design:
    """The design of a YAML file, which names what differs from the default; without a file the default.

    Raises InputError for an unknown key, a value of another kind, or ranges that contradict themselves.
    """
    if path is None:
        return DEFAULT
    return design_of(read_config(Path(path), [field.name for field in dataclasses.fields(Design)]), str(path))


def design_of(values: Mapping[str, Any], path: str) -> Design:
    """The design of plain values, which stand in a file; InputError as `read_design`."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Design).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise InputError(f"{path}: {place}: {message}", "docs/science/injection.md has the default") from error
    except InputError as error:
        raise InputError(f"{path}: {error}", error.fix) from error
