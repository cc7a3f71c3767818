"""A selection function as values: facts, tables, fits; `folder` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lensctl.comparing import realism
from lensctl.injection import observables
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, stamp, to_list
from lensctl.selection.fitting.closure import Closure, closed
from lensctl.selection.fitting.failure_modes import Population, failure_modes, outside_share
from lensctl.selection.fitting.fits import AtThreshold, fitted_at_all
from lensctl.selection.fitting.paired import Pairs, control_rows, family_rows, sensitivity_rows, systematic
from lensctl.selection.p_det.axes import physical_axes

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.rules.survey import Survey
    from lensctl.selection.fitting.frozen_model import FrozenModel, Threshold
    from lensctl.selection.fitting.scored import Injections, Scored

SCHEMA = "lensctl.selection/1"
EXPLORATORY = "Exploratory: a threshold was chosen after the model was frozen. Not a result."
MOCK = "These data are a mock survey: the figures show that the pipeline works, and say nothing about the sky."
TABLES_FOR_PEOPLE = ("cells", "controls", "sensitivity", "closure", "failures", "failure_modes", "parent")
"""Also written as CSV."""


@dataclass(frozen=True)
class Given:
    """All that a selection function is measured from.

    Attributes
    ----------
    model : FrozenModel
    thresholds : sequence of Threshold
    injections : Injections
    hosts : Scored
    controls, variations : list of Pairs
    real : Scored, optional
        Lenses of tier A and B of the test split.
    parent : list of dict
        Result of `parent_factor`.
    exploratory : bool
    population : Population, optional
        In which failure modes are sought, instead of in the design of the injections.
    """

    model: FrozenModel
    thresholds: Sequence[Threshold]
    injections: Injections
    hosts: Scored
    controls: list[Pairs] = field(default_factory=list)
    variations: list[Pairs] = field(default_factory=list)
    real: Scored | None = None
    parent: list[dict[str, Any]] = field(default_factory=list)
    exploratory: bool = False
    population: Population | None = None

    @property
    def survey(self) -> Survey:
        """Of the model."""
        return self.model.survey


@dataclass(frozen=True)
class Measured:
    """A selection function: facts for selection.json, tables by name, and what plots need."""

    facts: dict[str, Any]
    tables: dict[str, pa.Table]
    given: Given
    fits: list[AtThreshold]
    closures: list[Closure]


def measured(given: Given, chain: Chain, *, rounds: int, seed: int) -> Measured:
    """Fit and compare at every threshold.

    Parameters
    ----------
    chain : Chain
        Of the step that is being done, for the outputs.
    rounds, seed : int
        Draws of the coefficients, and of what they are a function.

    Raises
    ------
    InputError
        No threshold at which enough were detected and missed.
    """
    axes = physical_axes(given.survey)
    fits, left_out = fitted_at_all(given.injections, axes, given.thresholds, rounds=rounds, seed=seed)
    values = {axis.name: given.injections.numbers(axis.name) for axis in axes}
    rows: dict[str, list[dict[str, Any]]] = {"controls": [], "sensitivity": [], "failure_modes": []}
    shifts: dict[str, float | None] = {}
    for fit in fits:
        p = fit.detection.predict(values).p
        own = [sensitivity_rows(pairs, fit, p) for pairs in given.variations]
        own += family_rows(fit, given.injections, p)
        shifts[fit.threshold.name] = systematic(own)
        rows["sensitivity"] += own
        rows["failure_modes"] += failure_modes(fit, given.population)
        rows["controls"] += [control_rows(pairs, fit) for pairs in given.controls]
    closures, unclosed = _closures(given, fits, rounds=rounds, seed=seed)
    tables = _tables(given, fits, closures, rows)
    facts = _facts(given, fits, closures, shifts, [*left_out, *unclosed], chain)
    facts["realism"] = _realism(given, tables)
    facts["tables"] = {name: {"rows": t.num_rows, "digest": digests.of_table(t)} for name, t in sorted(tables.items())}
    stamped = {name: stamp(table, chain) for name, table in tables.items()}
    return Measured(facts, stamped, given, fits, closures)


def _closures(
    given: Given, fits: Sequence[AtThreshold], *, rounds: int, seed: int
) -> tuple[list[Closure], list[dict[str, str]]]:
    """Closure at each threshold, and the reasons where there is none."""
    from lensctl.rules.errors import InputError

    if given.real is None:
        return [], []
    lenses, found, without = given.real.table, [], []
    for fit in fits:
        try:
            where = given.real.where
            found.append(closed(fit, given.injections, lenses, given.survey, where, rounds=rounds, seed=seed))
        except InputError as error:
            without.append({"name": fit.threshold.name, "why": f"no closure: {error}"})
    return found, without


def _tables(
    given: Given, fits: Sequence[AtThreshold], closures: Sequence[Closure], rows: Mapping[str, list[dict[str, Any]]]
) -> dict[str, pa.Table]:
    import pyarrow as pa

    listed: dict[str, list[dict[str, Any]]] = {
        "failures": given.injections.lost,
        "cells": [{"threshold": fit.threshold.name, **row} for fit in fits for row in fit.cells],
        "controls": rows["controls"],
        "sensitivity": rows["sensitivity"],
        "failure_modes": rows["failure_modes"],
        "closure": [row for closure in closures for row in closure.sets],
        "closure_lenses": [row for closure in closures for row in closure.lenses],
        "parent": given.parent,
    }
    found = {name: pa.Table.from_pylist(each) for name, each in listed.items() if each}
    found["draws"] = pa.concat_tables([_draws(fit) for fit in fits])
    found["injections"] = given.injections.table.replace_schema_metadata()
    found["hosts"] = given.hosts.table.replace_schema_metadata()
    if given.real is not None:
        found["real"] = given.real.table.replace_schema_metadata()
    return found


def _realism(given: Given, tables: Mapping[str, pa.Table]) -> list[dict[str, Any]]:
    """What `lensctl gate realism` will say of these tables, for the report; nothing without lenses or observables."""
    needed = set(observables.names(given.survey))
    if given.real is None or any(not needed <= set(tables[name].column_names) for name in ("real", "injections")):
        return []
    shown = ("check", "value", "low", "high", "limit", "n", "passed", "note")
    checks = realism.compared(tables, {name: name for name in realism.TABLES}, given.survey, realism.Limits())
    return [{name: getattr(check, name) for name in shown} for check in checks]


def _about(population: Population, fits: Sequence[AtThreshold]) -> dict[str, Any]:
    """The population in which failure modes were sought, and the share of its weight of which nothing is known."""
    outside = {fit.threshold.name: outside_share(fit, population) for fit in fits}
    return {"table": population.where, "rows": len(population.weight), "outside": outside}


def _draws(fit: AtThreshold) -> pa.Table:
    """Coefficients of each round, as many as the fit has; the last is the ceiling's logit less its prior mean."""
    import numpy as np
    import pyarrow as pa

    count, width = fit.draws.shape
    ends = pa.array(np.arange(0, (count + 1) * width, width), pa.int32())
    lists = pa.ListArray.from_arrays(ends, pa.array(np.ascontiguousarray(fit.draws).reshape(-1)))
    name = pa.array([fit.threshold.name] * count, pa.string())
    return pa.table({"threshold": name, "round": np.arange(count), "coefficients": lists})


def _facts(
    given: Given,
    fits: Sequence[AtThreshold],
    closures: Sequence[Closure],
    shifts: Mapping[str, float | None],
    left_out: list[dict[str, str]],
    chain: Chain,
) -> dict[str, Any]:
    injections = given.injections
    axes = fits[0].detection.axes
    notes = [EXPLORATORY] if given.exploratory else []
    designs = injections.table.column_names.count("design_digest") and sorted(
        {str(digest) for digest in injections.table["design_digest"].to_pylist()}
    )
    return {
        "schema": SCHEMA,
        "mock": given.model.mock,
        "exploratory": given.exploratory,
        "note": " ".join([*notes, *([MOCK] if given.model.mock else [])]),
        "model": given.model.where,
        "model_digest": given.model.digest,
        "axes": [axis.name for axis in axes],
        "about_axes": [vars(axis) for axis in axes],
        "thresholds": [fit.facts for fit in fits],
        "left_out": left_out,
        "rows": {
            "injections": injections.table.num_rows + sum(each["rows"] for each in injections.lost),
            "hosts": injections.hosts,
            "per_host": injections.per_host,
            "usable": injections.table.num_rows,
            "lost": injections.lost,
        },
        "design_digests": designs or [],
        "parent": given.parent,
        "population": None if given.population is None else _about(given.population, fits),
        "systematic_logit_shift": dict(shifts),
        "closure": [row for closure in closures for row in closure.sets],
        "models": {fit.threshold.name: fit.detection.as_dict() for fit in fits},
        "observable_models": {one.threshold: one.detection.as_dict() for one in closures},
        "provenance": to_list(chain),
    }
