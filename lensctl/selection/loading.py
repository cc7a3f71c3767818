"""A selection function from the folder that `selection fit` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.frozen.selection_folder import FACTS, MAKE_AGAIN, TABLES, SelectionFolder, read_selection
from lensctl.io.provenance.steps import Chain, chain_of, survey_of
from lensctl.rules import schema
from lensctl.rules.config import as_written, nearest
from lensctl.rules.errors import InputError
from lensctl.selection.p_det.axis_values import axis_values, numbers
from lensctl.selection.p_det.detection import of_dict
from lensctl.selection.predicting import Injections, Predictor, Selection

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]

INJECTIONS = "injections"


@dataclass(frozen=True)
class LogitShift:
    """How far assumptions of the injection may move p_det: p (1 - p) times a shift of its logit."""

    predictor: Predictor
    shift: float

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        """Of rows, (N,) float64."""
        p = self.predictor.predict(values).p
        return p * (1 - p) * self.shift


@dataclass(frozen=True)
class Loaded:
    """A selection function, the digest of its selection.json, and the steps that made it."""

    selection: Selection
    digest: str
    chain: Chain
    exploratory: bool


def load_selection(folder: str | Path, threshold: str | None) -> Loaded:
    """The selection function of a folder at one threshold.

    Raises
    ------
    InputError
        Not such a folder, one that cannot be read, or whose injections were changed since the fit; no such threshold,
        or several and none named.
    """
    found = read_selection(folder)
    points, axes = facts_of(found)
    name = chosen(points, threshold, str(folder))
    table, where = found.table(INJECTIONS), f"{folder}/{TABLES}/{INJECTIONS}.parquet"
    chain = chain_of(table, where)
    asked = injections_of(table, axes, points[name], survey_of(chain), where)
    predictor, shift = predictor_of(found.facts, name, f"{folder}/{FACTS}")
    systematic = None if shift is None else LogitShift(predictor, shift)
    return Loaded(Selection(name, axes, predictor, asked, systematic), found.digest, chain, found.exploratory)


def facts_of(found: SelectionFolder) -> tuple[dict[str, float], tuple[str, ...]]:
    """The logit of each threshold by name, and the axes; InputError where it has none."""
    points = found.thresholds
    try:
        axes = tuple(str(name) for name in found.facts["axes"])
    except (KeyError, TypeError) as error:
        raise found.no_selection_function() from error
    if not points or not axes:
        raise InputError(f"{found.where}/{FACTS}: has no threshold or no axes", MAKE_AGAIN)
    return points, axes


def chosen(points: Mapping[str, float], threshold: str | None, where: str) -> str:
    """The threshold that is named, or the only one; InputError if that is not one."""
    known = ", ".join(points)
    if threshold is None and len(points) != 1:
        raise InputError(f"{where} has {len(points)} thresholds: {known}", "add --threshold NAME")
    if threshold is not None and threshold not in points:
        raise InputError(f"{where} has no threshold '{threshold}'{nearest(threshold, points)}", f"it has {known}")
    return threshold if threshold is not None else next(iter(points))


def injections_of(table: pa.Table, axes: Sequence[str], logit: float, survey: Survey, where: str) -> Injections:
    """The injections with what was detected at a threshold, without hosts that are above it without an arc.

    Raises InputError for a column that is missing, or not what it says.
    """
    schema.require(table, "logit", "host_id", "healpix_128", where=where, survey=survey)
    lensed = f"lensed_mag_{survey.detection_band}"
    names = (*axes, *((lensed,) if lensed in table.column_names else ()))
    if "logit_host" in table.column_names:
        table = table.filter(numbers(table, "logit_host", where) < logit)
    values = axis_values(table, names, survey, where)
    detected = numbers(table, "logit", where) >= logit
    host = np.asarray(table["host_id"].to_numpy())
    return Injections(values, detected, host, np.asarray(table["healpix_128"].to_numpy(), np.int64))


def predictor_of(facts: Mapping[str, Any], threshold: str, where: str) -> tuple[Predictor, float | None]:
    """p_det at a threshold, and what assumptions may shift its logit by, where that was measured.

    From selection.json; InputError where it has none.
    """
    with as_written(where, MAKE_AGAIN):
        shift = facts.get("systematic_logit_shift", {}).get(threshold)
        return of_dict(facts["models"][threshold], where), None if shift is None else float(shift)
