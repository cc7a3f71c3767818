"""Axes of p_det read from any table: found, in the right unit, and finite, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.selection.p_det.quantities import is_log, quantity_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]


WEIGHT = "weight"
MAGNITUDES_OF_DEPTH = (18.0, 30.0)


def axis_values(table: pa.Table, names: Sequence[str], survey: Survey, where: str) -> dict[str, Floats]:
    """The axes of every row, in natural units, by name: (N,) float64 each.

    Magnitudes of arcs as observed are computed from lensed ones and the transmission of dust, where they are absent.

    Raises
    ------
    InputError
        A column is missing, not a number, null in a row, or has values that no such quantity has in its unit.
    """
    arc = f"arc_mag_{survey.detection_band}"
    lensed, dust = f"lensed_mag_{survey.detection_band}", f"mw_transmission_{survey.detection_band}"
    derived = arc in names and arc not in table.column_names and {lensed, dust} <= set(table.column_names)
    read = [name for name in names if not (derived and name == arc)]
    schema.require(table, *read, where=where, survey=survey)
    found = {name: numbers(table, name, where) for name in (*read, *((lensed, dust) if derived else ()))}
    if derived:
        bad = (found[dust] <= 0) | (found[dust] > 1)
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{where}: {dust} = {found[dust][row]:g} in row {row} is no transmission", "it lies between 0 and 1"
            )
        refuse_other_unit(lensed, found[lensed], where)
        found[arc] = found[lensed] - 2.5 * np.log10(found[dust])
    for name in names:
        refuse_other_unit(name, found[name], where)
    return {name: found[name] for name in names}


def numbers(table: pa.Table, name: str, where: str) -> Floats:
    """A column as (N,) float64; InputError where it is no number, or null, NaN or infinite in a row."""
    schema.require_numbers(table, name, where=where)
    schema.refuse_nulls(table, name, where=where)
    values = np.asarray(table[name].to_numpy(), np.float64)
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values)))
        raise InputError(f"{where}: {name} is infinite in row {row}", "repair or drop those rows")
    return values


def weights(table: pa.Table, where: str) -> Floats:
    """How many lenses each row stands for, 1 where the table does not say: (N,); InputError for no such numbers."""
    if WEIGHT not in table.column_names:
        return np.ones(table.num_rows)
    weight = numbers(table, WEIGHT, where)
    if (weight < 0).any():
        raise InputError(f"{where}: weight is below 0 in row {int(np.argmax(weight < 0))}", "a weight counts lenses")
    if not weight.sum() > 0:
        raise InputError(f"{where}: weight is 0 in every row", "a weight counts lenses; drop the column for 1 each")
    return weight


def refuse_other_unit(name: str, values: Floats, where: str) -> None:
    """Raise InputError for values that no quantity of this name has in its unit."""
    unit = quantity_of(name)
    if unit is None:
        return
    for bad, guess in ((values < unit.low, unit.below), (values > unit.high, unit.above)):
        if bad.any():
            row = int(np.argmax(bad))
            maybe = f"; are these {guess}?" if guess else ""
            raise InputError(
                f"{where}: {name} = {values[row]:g} in row {row} ({int(bad.sum())} rows) is beyond {unit.low:g} to "
                f"{unit.high:g}{maybe}",
                f"give {name} as {unit.name}",
            )
    least, most = MAGNITUDES_OF_DEPTH
    if name.startswith("psfdepth_") and values.min() >= least and values.max() <= most:
        raise InputError(
            f"{where}: {name} is {values.min():.4g} to {values.max():.4g} everywhere; are these magnitudes?",
            f"give {name} as {unit.name}, as the Tractor catalogues have it",
        )


def scaled(values: Mapping[str, Floats], names: Sequence[str]) -> Floats:
    """Axes as columns, (N, F), those that are compared by ratio as their logarithm."""
    return np.stack([np.log(values[name]) if is_log(name) else values[name] for name in names], axis=1)
