"""Closure: p_det as a function of observables, fitted to injections, against the recall of real test lenses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.learning.data.held_out import splits_of_model
from lensctl.rules import schema
from lensctl.rules.derived import magnitude
from lensctl.rules.errors import InputError
from lensctl.selection.fitting.held_out_sky import TEST
from lensctl.selection.p_det.axes import Axis, observable_axes
from lensctl.selection.p_det.detection import Detection, fit_detection
from lensctl.stats.fits.clustered import error_of_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey
    from lensctl.selection.fitting.fits import AtThreshold
    from lensctl.selection.fitting.frozen_model import FrozenModel
    from lensctl.selection.fitting.scored import Injections, Scored

    Floats = NDArray[np.float64]

TIERS = ("A", "B")
OVER_PSF = "obs_theta_over_psf"


@dataclass(frozen=True)
class Closure:
    """At one threshold: the fit on observables, a row for each lens, and for each set of lenses.

    Attributes
    ----------
    threshold : str
    detection : Detection
    lenses : list of dict
        galaxy_id, tier, threshold, logit, detected, p_det, p_low, p_high, inside; p_det is None without observables.
    sets : list of dict
        lenses, threshold, n, pixels, unobserved, outside, recall, p_mean, difference, standard_error.
    """

    threshold: str
    detection: Detection
    lenses: list[dict[str, Any]]
    sets: list[dict[str, Any]]


def real_lenses(real: Scored, model: FrozenModel) -> Scored:
    """The lenses of tier A and B of the test split that have a score.

    Raises InputError for none, or for lenses that are said to be of the test split of the model, and are not.
    """
    import pyarrow as pa

    tier, part = (np.array(real.table[name].to_pylist(), object) for name in ("tier", "split"))
    is_lens = np.isin(tier, TIERS) & (part == TEST)
    pixel = np.asarray(real.table["healpix_128"].to_numpy(), np.int64)
    taught = is_lens & (splits_of_model(pixel, model.chain, model.survey) != TEST)
    if taught.any():
        first = real.table["galaxy_id"][int(np.argmax(taught))].as_py()
        raise InputError(
            f"{real.where}: {int(taught.sum())} lenses lie outside the test split of the model, such as {first}",
            "score the manifest that the model was trained on",
        )
    scored = np.isfinite(np.asarray(real.table["logit"].cast(pa.float64()).to_numpy(), np.float64))
    if not (is_lens & scored).any():
        raise InputError(
            f"{real.where}: no lens of tier A or B of the test split has a score", "give scores of real test lenses"
        )
    kept = real.table.filter(pa.array((is_lens & scored).astype(bool)))
    return dataclasses.replace(real, table=_with_magnitude(kept, model.survey, real.where))


def _with_magnitude(table: pa.Table, survey: Survey, where: str) -> pa.Table:
    """A table with the magnitude in the depth band, by the flux where it has none: scores of a manifest have fluxes."""
    import pyarrow as pa

    name, flux = f"mag_{survey.depth_band}", f"flux_{survey.depth_band}"
    if name in table.column_names or flux not in table.column_names:
        return table
    schema.require_numbers(table, flux, where=where)
    values = magnitude(np.asarray(table[flux].cast(pa.float64()).to_numpy(), np.float64))
    return table.append_column(name, pa.array(values, from_pandas=True))


def observables_of(table: pa.Table, axes: Sequence[Axis], survey: Survey, where: str) -> dict[str, Floats]:
    """Observable axes of rows, NaN where something was not observed: (N,) each; InputError for a missing column."""
    import pyarrow as pa

    size = f"psfsize_{survey.detection_band}"
    needed = ["obs_theta", *(axis.name for axis in axes if axis.name != OVER_PSF)]
    schema.require(table, *needed, where=where, survey=survey)
    schema.require_numbers(table, *needed, where=where)
    columns = {name: np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64) for name in needed}
    with np.errstate(divide="ignore", invalid="ignore"):
        columns[OVER_PSF] = columns["obs_theta"] / columns[size]
    found = {axis.name: columns[axis.name] for axis in axes}
    for axis in axes:
        column = found[axis.name]
        found[axis.name] = np.where(np.isfinite(column) & (not axis.log or column > 0), column, np.nan)
    return found


def closed(
    fit: AtThreshold, injections: Injections, lenses: pa.Table, survey: Survey, where: str, *, rounds: int, seed: int
) -> Closure:
    """Compare at one threshold; InputError as `fit_detection`, or for a missing column."""
    axes = observable_axes(survey)
    seen = observables_of(injections.table, axes, survey, "the injections")
    whole = fit.kept & _known(seen)
    values = {name: column[whole] for name, column in seen.items()}
    detection = fit_detection(
        axes, values, fit.detected[whole], injections.pixel[whole], rounds=rounds, seed=seed
    ).detection
    of_lenses = observables_of(lenses, axes, survey, where)
    known = _known(of_lenses)
    rows = {name: column[known] for name, column in of_lenses.items()}
    found = detection.predict(rows)
    logit = np.asarray(lenses["logit"].to_numpy(), np.float64)
    detected = logit >= fit.threshold.logit
    place = np.cumsum(known) - 1
    told = [
        {
            "galaxy_id": id,
            "tier": tier,
            "threshold": fit.threshold.name,
            "logit": float(logit[i]),
            "detected": bool(detected[i]),
            "p_det": float(found.p[place[i]]) if known[i] else None,
            "p_low": float(found.low[place[i]]) if known[i] else None,
            "p_high": float(found.high[place[i]]) if known[i] else None,
            "inside": bool(found.inside[place[i]]) if known[i] else False,
        }
        for i, (id, tier) in enumerate(zip(lenses["galaxy_id"].to_pylist(), lenses["tier"].to_pylist(), strict=True))
    ]
    inside = np.zeros(len(known), bool)
    inside[known] = found.inside
    tier = np.array(lenses["tier"].to_pylist(), object)
    pixel = np.asarray(lenses["healpix_128"].to_numpy(), np.int64)
    snr = of_lenses[axes[0].name]
    middle = float(np.median(snr[inside])) if inside.any() else math.nan
    parts = {
        "A+B": np.ones(len(known), bool),
        "A": tier == "A",
        "B": tier == "B",
        f"{axes[0].name} below its median": snr < middle,
        f"{axes[0].name} above its median": snr >= middle,
    }
    sets = [
        _compared(name, fit.threshold.name, part, known, inside, detected, of_lenses, pixel, detection)
        for name, part in parts.items()
    ]
    return Closure(fit.threshold.name, detection, told, sets)


def _known(values: Mapping[str, Floats]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(np.stack(list(values.values()))).all(axis=0))


def _compared(
    name: str,
    threshold: str,
    part: NDArray[np.bool_],
    known: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    detected: NDArray[np.bool_],
    values: Mapping[str, Floats],
    pixel: NDArray[np.int64],
    detection: Detection,
) -> dict[str, Any]:
    """Recall less the mean of p_det of a set of lenses inside the support, and the standard error of that."""
    used = part & inside
    told: dict[str, Any] = {
        "lenses": name,
        "threshold": threshold,
        "n": int(used.sum()),
        "pixels": len(np.unique(pixel[used])),
        "unobserved": int((part & ~known).sum()),
        "outside": int((part & known & ~inside).sum()),
        "recall": None,
        "p_mean": None,
        "difference": None,
        "standard_error": None,
    }
    if used.sum() < 2:
        return told
    rows = {axis: column[used] for axis, column in values.items()}
    mean, p = detection.mean(rows), detection.predict(rows).p
    of_model = (mean.high - mean.low) / 2 / detection.reach
    difference = float(detected[used].mean()) - mean.value
    of_lenses = error_of_mean(detected[used] - p - difference, pixel[used])
    return told | {
        "recall": float(detected[used].mean()),
        "p_mean": mean.value,
        "difference": difference,
        "standard_error": math.hypot(of_model, of_lenses),
    }
