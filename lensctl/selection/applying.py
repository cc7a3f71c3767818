"""`lensctl selection apply`: p_det of any table of lenses, and the share of a population that is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.tables.files import read_table, refuse_tables, write_table
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.selection.averages import Population, completeness
from lensctl.selection.distributions import edges_of, intrinsic_and_selected, places
from lensctl.selection.follow_up import BANDS, band_of, follow_up
from lensctl.selection.loading import load_selection
from lensctl.selection.p_det.axis_values import WEIGHT, axis_values, numbers, weights
from lensctl.selection.p_det.quantities import is_log

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey
    from lensctl.selection.predicting import Prediction, Predictor, Selection

    Floats = NDArray[np.float64]

MIN_NEFF = 200.0
PIXEL, SCORE = "healpix_128", "logit"
ADDED = ("p_det", "p_low", "p_high", "p_sys", "inside", "p_band", "follow_up")
"""Columns that are added; the last two where the table has a logit."""


def apply(
    selection_dir: str | Path,
    table: str | Path,
    output: str | Path,
    *,
    threshold: str | None = None,
    by: Sequence[str] = (),
    extrapolate: bool = False,
    min_neff: float = MIN_NEFF,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Add p_det to a table of lenses, and say which share of them is found.

    Parameters
    ----------
    selection_dir, table, output : path
        Made by `selection fit`; any table with the axes, best with `weight` and `healpix_128`; table to write. `-` is
        stdin and stdout.
    threshold : str, optional
        Where the selection function has several.
    by : sequence of str
        Columns whose distribution is shown, of all lenses and of the found ones.
    extrapolate : bool
        Give p_det outside the support too; averages leave these rows out all the same.
    min_neff : float
        Least effective number of hosts behind an average.

    Returns
    -------
    Receipt
        With rows, rows inside, `completeness` (see `averages.completeness`), `by`, and bands of the follow-up.

    Raises
    ------
    InputError
        No selection function, or several and no `threshold`; a missing axis, or one in another unit; no weight; no row
        inside the support, without `extrapolate`.
    """
    table, output = str(table), str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    fitted = load_selection(selection_dir, threshold)
    rows = read_table(table, format=format if table == "-" else None)
    where = "stdin" if table == "-" else table
    chain = chain_of(rows, table)
    survey = common_survey(None, fitted.chain, chain) if chain else common_survey(None, fitted.chain)
    made, found, values, faint = applied(rows, fitted.selection, survey, where, extrapolate=extrapolate)
    if not extrapolate and not found.inside.any():
        raise InputError(
            f"{where}: none of {rows.num_rows:,} rows lies inside the support of the injections, so p_det is not known",
            "inject by a design that holds them, or add --extrapolate",
        )
    whole = population_of(rows, values, faint, where)
    told = completeness(whole, found, fitted.selection, min_neff=min_neff)
    shown = {name: distribution(rows, name, whole, found, fitted.selection.predictor, where) for name in by}
    _say(told, shown, report)
    if fitted.exploratory:
        report.say(f"{fitted.selection.threshold} is no frozen threshold, but exploratory: not for publication")
    parameters = {
        "threshold": fitted.selection.threshold,
        "by": list(by),
        "extrapolate": extrapolate,
        "min_neff": min_neff,
    }
    inputs = (
        step_input("selection", selection_dir, fitted.digest, fitted.chain),
        step_input("table", table, digests.of_table(rows), chain),
    )
    step = Step("selection apply", parameters, inputs, survey=survey)
    write_table(stamp(made, extend(step, fitted.chain, chain)), output, overwrite=overwrite, format=format)
    return {
        "command": "selection",
        "action": "apply",
        "output": output,
        "rows": made.num_rows,
        "inside": int(found.inside.sum()),
        "weighted": WEIGHT in rows.column_names,
        "threshold": fitted.selection.threshold,
        "exploratory": fitted.exploratory,
        "completeness": told,
        **({"by": shown} if by else {}),
        **({"bands": counted(made)} if SCORE in rows.column_names else {}),
    }


def applied(
    rows: pa.Table, selection: Selection, survey: Survey, where: str, *, extrapolate: bool = False
) -> tuple[pa.Table, Prediction, dict[str, Floats], NDArray[np.bool_]]:
    """The table with p_det; the prediction, the axes, and which rows are fainter than every injection.

    Raises InputError for a missing axis, one in another unit, or columns of an earlier `apply`.
    """
    import pyarrow as pa

    twice = [name for name in ADDED if name in rows.column_names]
    if twice:
        raise InputError(f"{where}: column '{twice[0]}' is there already", "drop the columns of the earlier apply")
    values = axis_values(rows, selection.axes, survey, where)
    found = selection.predictor.predict(values)
    shown = np.ones(len(found.p), bool) if extrapolate else np.asarray(found.inside)
    systematic = np.full(len(found.p), np.nan) if selection.systematic is None else selection.systematic(values)
    columns: dict[str, Any] = {
        "p_det": np.where(shown, found.p, np.nan),
        "p_low": np.where(shown, found.low, np.nan),
        "p_high": np.where(shown, found.high, np.nan),
        "p_sys": np.where(shown, systematic, np.nan),
    }
    made = rows
    for name, each in columns.items():
        made = made.append_column(name, pa.array(each, from_pandas=True))
    made = made.append_column("inside", pa.array(found.inside))
    if SCORE in rows.column_names:
        schema.require_numbers(rows, SCORE, where=where)
        place = follow_up(columns["p_det"], np.asarray(rows[SCORE].to_numpy(), np.float64))
        band = band_of(columns["p_det"])
        made = made.append_column("p_band", pa.array([None if b < 0 else BANDS[b] for b in band], pa.string()))
        made = made.append_column("follow_up", pa.array(place, pa.int64(), mask=place == 0))
    return made, found, values, faint_rows(rows, values, selection, survey, where)


def faint_rows(
    rows: pa.Table, values: dict[str, Floats], selection: Selection, survey: Survey, where: str
) -> NDArray[np.bool_]:
    """Which rows are fainter than every injection.

    By the lensed magnitude, in which the design ends, where both have it; otherwise by that of the arcs as observed.
    """
    lensed, arc = (f"{name}_{survey.detection_band}" for name in ("lensed_mag", "arc_mag"))
    asked = selection.injections.values
    if lensed in asked and lensed in rows.column_names:
        return np.asarray(axis_values(rows, (lensed,), survey, where)[lensed] > asked[lensed].max())
    if arc in values:
        return np.asarray(values[arc] > asked[arc].max())
    return np.zeros(rows.num_rows, bool)


def population_of(rows: pa.Table, values: dict[str, Floats], faint: NDArray[np.bool_], where: str) -> Population:
    """The rows as lenses to average over, each with its weight, or 1; InputError for weights that are none."""
    weight = weights(rows, where)
    pixel = None
    if PIXEL in rows.column_names:
        schema.refuse_nulls(rows, PIXEL, where=where)
        pixel = np.asarray(rows[PIXEL].to_numpy(), np.int64)
    return Population(values, weight, faint, pixel)


def distribution(
    rows: pa.Table, name: str, population: Population, found: Prediction, predictor: Predictor, where: str
) -> list[dict[str, Any]]:
    """The distribution of a column among the lenses inside the support, and among the found ones."""
    if name not in rows.column_names and name in population.values:
        values = population.values[name]
    else:
        schema.require(rows, name, where=where)
        values = numbers(rows, name, where)
    kept = found.inside & ~population.faint & (population.weight > 0)
    if not kept.any():
        return []
    values, weight = values[kept], population.weight[kept]
    edges = edges_of(values, weight, logarithmic=is_log(name) and bool((values > 0).all()))
    place = places(values, edges)
    pixel = None if population.pixel is None else population.pixel[kept]
    errors = predictor.share_errors({axis: each[kept] for axis, each in population.values.items()}, weight, place)
    return intrinsic_and_selected(place, weight, found.p[kept], found.low[kept], found.high[kept], pixel, edges, errors)


def _say(told: dict[str, Any], by: dict[str, list[dict[str, Any]]], report: Reporter) -> None:
    """For people: the averages, distributions bin by bin, and reasons against them."""
    named = {"plug_in": "by p_det", "importance": "by the injections, weighted"}
    parts = ("within", "all")
    rows = [(what, *(_interval(told[name][of]) for of in parts)) for name, what in named.items() if told[name]]
    if rows:
        report.table("Completeness", ("", "as bright as injected", "all lenses"), rows)
    for name, bins in by.items():
        columns = (name, "all lenses", "found lenses", "p_det")
        report.table(
            f"Lenses by {name}: which share of each distribution lies in the bin",
            columns,
            [
                (
                    f"{row['low']:.3g} to {row['high']:.3g}",
                    *(_interval(row[of]) for of in ("intrinsic", "selected", "p_det")),
                )
                for row in bins
            ],
        )
    for reason in told["reasons"]:
        report.say(reason)


def _interval(of: dict[str, Any]) -> str:
    if of["value"] is None or of["low"] is None:
        return "" if of["value"] is None else f"{of['value']:.3f}"
    return f"{of['value']:.3f} ({of['low']:.3f}-{of['high']:.3f})"


def counted(made: pa.Table) -> dict[str, int]:
    """Candidates in each band of p_det."""
    band = made["p_band"].to_pylist()
    return {name: band.count(name) for name in BANDS}
