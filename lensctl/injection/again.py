"""The light of an injection again, from the columns of its row alone: what a gate compares with the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro.lensing import Lens
from lensctl.astro.sersic import Sersic
from lensctl.injection.drawing import Geometry, Source
from lensctl.injection.injector import Injector

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEEDED = (
    *("theta_e", "lens_q", "lens_phi", "gamma1", "gamma2", "source_x", "source_y"),
    *("source_r_half", "source_n", "source_q", "source_phi", "source_model", "n_images"),
    *("offset_x_px", "offset_y_px", "psf_beta"),
)
"""Columns of a row, beside arc_mag and psfsize of each band."""


def light_again(row: Mapping[str, Any], injector: Injector) -> NDArray[np.float32]:
    """What an injection of a smooth source added, through a Moffat: (S, S, B) nanomaggies.

    Parameters
    ----------
    row : mapping
        Columns of the index of one row, whose `source_model` is sersic.
    injector : Injector
        With the control and the variation of the store.
    """
    survey, renderer = injector.survey, injector.renderer
    scale = survey.pixel_scale_arcsec
    lens = Lens(
        theta_e=row["theta_e"],
        q=row["lens_q"],
        phi=row["lens_phi"],
        gamma1=row["gamma1"],
        gamma2=row["gamma2"],
        x=float(np.nan_to_num(row["offset_x_px"] or 0.0)) * scale,
        y=float(np.nan_to_num(row["offset_y_px"] or 0.0)) * scale,
    )
    part = Sersic(0, 0, 1.0, row["source_r_half"], row["source_n"], row["source_q"], row["source_phi"])
    geometry = Geometry(lens, row["source_x"], row["source_y"], row["n_images"])
    source = Source("sersic", ((part,),), (1.0,), (0.0,), (0.0, 0.0), 0.0)
    shape = injector.shaped(geometry, source, renderer.traced(geometry, source))
    flux = 10 ** (0.4 * (22.5 - np.array([row[f"arc_mag_{band}"] for band in survey.bands])))
    sizes = np.array([row[f"psfsize_{band}"] for band in survey.bands], np.float64)
    kernels = renderer.kernels(sizes * injector.settings.variation.psfsize_factor, row["psf_beta"])
    return np.moveaxis(renderer.seen(shape * flux[:, None, None], kernels), 0, -1).astype(np.float32)
