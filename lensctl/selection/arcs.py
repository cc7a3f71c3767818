"""The arcs of a population: shapes as inject draws them, positions, and magnification, a process a core."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.lensed_light import magnifications, multiply_imaged_arcsec2
from lensctl.injection import drawing
from lensctl.injection.rendering import Renderer, magnitudes_of
from lensctl.io import workers
from lensctl.selection.sie_vdf import PURPOSE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.injection.design import Design
    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]

TASK_ROWS = 2000
NUMBERS = (
    *("lens_q", "lens_phi", "gamma1", "gamma2", "source_x", "source_y"),
    *("source_r_half", "source_n", "source_q", "source_phi", "n_images"),
)
"""Numbers of each row, beside its magnitudes; as `inject` names them."""


@dataclass(frozen=True)
class Arcs:
    """What was drawn for each row.

    Parameters
    ----------
    numbers : mapping of (N,) float64
        NUMBERS.
    model : (N,) str
        sersic or clumpy.
    area : (N,) float64
        Of the multiply-imaged region, in units of theta_e^2 pi.
    relative : (N, B) float64
        Magnitude of the source in each band less that in the detection band.
    magnification : (N, B) float64
        In each band: parts of a source differ in colour.
    """

    numbers: dict[str, Floats]
    model: NDArray[np.str_]
    area: Floats
    relative: Floats
    magnification: Floats


@dataclass(frozen=True)
class _Task:
    start: int
    theta_e: Floats
    q: Floats
    phi: Floats


def arcs_of(
    theta_e: Floats,
    q: Floats,
    phi: Floats,
    *,
    seed: int,
    design: Design,
    survey: Survey,
    processes: int | None = None,
    advance: Callable[[int], None] = lambda rows: None,
) -> Arcs:
    """Arcs of lenses of these Einstein radii (arcsec) in galaxies of these axis ratios (NaN: round) and angles.

    Row i is a function of seed and i: streams are those of `inject` for a galaxy called "population".
    """
    tasks = [
        _Task(start, *(values[start : start + TASK_ROWS] for values in (theta_e, q, phi)))
        for start in range(0, len(theta_e), TASK_ROWS)
    ]
    parts: dict[int, Arcs] = {}
    for start, done in workers.each(functools.partial(_of_task, seed, design, survey), tasks, processes):
        parts[start] = done
        advance(len(done.area))
    ordered = [parts[task.start] for task in tasks]
    return Arcs(
        {name: np.concatenate([part.numbers[name] for part in ordered]) for name in NUMBERS},
        *(
            np.concatenate([getattr(part, name) for part in ordered])
            for name in ("model", "area", "relative", "magnification")
        ),
    )


def _of_task(seed: int, design: Design, survey: Survey, task: _Task) -> tuple[int, Arcs]:
    renderer = Renderer(survey, survey.cutout_size_px)
    count = len(task.theta_e)
    numbers = {name: np.empty(count) for name in NUMBERS}
    model, area = np.empty(count, dtype="U8"), np.empty(count)
    relative, magnified = np.empty((count, len(survey.bands))), np.empty((count, len(survey.bands)))
    for i in range(count):
        host = drawing.Host(PURPOSE, None if np.isnan(task.q[i]) else float(task.q[i]), float(task.phi[i]))
        geometry = drawing.geometry_of(host, design, seed, task.start + i, float(task.theta_e[i]))
        source = drawing.source_of(host, design, seed, task.start + i, "mixed")
        lens, main = geometry.lens, source.main
        of_row = (
            *(lens.q, lens.phi, lens.gamma1, lens.gamma2, geometry.source_x, geometry.source_y),
            *(main.r_half, main.n, main.q, main.phi, geometry.n_images),
        )
        for name, value in zip(NUMBERS, of_row, strict=True):
            numbers[name][i] = value
        model[i] = source.model
        area[i] = multiply_imaged_arcsec2(lens) / (np.pi * lens.theta_e**2)
        relative[i] = magnitudes_of(survey, source.colours)
        magnified[i] = magnification_of(geometry, source, renderer)
    return task.start, Arcs(numbers, model, area, relative, magnified)


def magnification_of(geometry: drawing.Geometry, source: drawing.Source, renderer: Renderer) -> Floats:
    """Flux of the images over that of the source, in each band: (B,) float64.

    That of `Renderer.traced`, without its pixels: along lines (`astro.lensed_light`), some five times as fast.
    """
    x, y = geometry.source_x, geometry.source_y
    groups = [[dataclasses.replace(part, x=part.x + x, y=part.y + y) for part in group] for group in source.groups]
    return np.asarray(renderer.shares(source) @ magnifications(geometry.lens, groups))
