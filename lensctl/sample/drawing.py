"""From a pool and positives on disk or S3 to a table of negatives."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.astro import geometry
from lensctl.astro.lens_units import Lenses
from lensctl.io.paths import Paths, listed
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import (
    Input,
    Step,
    chain_of,
    common_survey,
    extend,
    stamp,
    step_input,
    survey_of,
)
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.tables import lens_catalogs
from lensctl.io.tables.declared_types import conform
from lensctl.io.tables.files import chain_at, read_table, refuse_tables, table_beside
from lensctl.io.tables.scanned import ScannedTable
from lensctl.io.tables.sql import Database
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.sampling_rule import SEED
from lensctl.rules.strata import parse_strata
from lensctl.rules.survey import Survey
from lensctl.sample.near_lenses import refuse_other_units
from lensctl.sample.planning import CHOSEN, NEEDED, Plan, plan

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.io.tables.spark import Cluster

ENGINES = ("duckdb", "spark")
MEMORY_MB_PER_THREAD = 450


def sample(
    pool: str | Path,
    output: str | Path,
    *,
    positives: str | Path,
    lenses: Paths = (),
    survey: Survey | str | None = None,
    strata: str | Path | None = None,
    seed: int = SEED,
    negatives_per_positive: int = 100,
    target_negative_count: int = 510_000,
    n1_n2_ratio: tuple[float, float] = (0.85, 0.15),
    stratification_bins: Sequence[str] = (),
    exclude_arcsec: float | None = None,
    strict: bool = False,
    engine: str = "duckdb",
    dry_run: bool = False,
    explain: bool = False,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Draw stratified negatives from a pool: the same rows for the same seed, whatever the engine.

    Parameters
    ----------
    pool, output : path
        Table or folder of the pool, and table to write; `-` is stdin and stdout.
    positives : path
        Made by `crossmatch`; their strata set the targets.
    lenses : sequence of paths
        Catalogues whose lenses are avoided, besides the positives.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    strata : path, optional
        Also write the table of strata here.
    stratification_bins : sequence of str
        `column=a,b,c`, values or bin edges; default the survey's strata.
    exclude_arcsec : float, optional
        Least distance from lenses and positives; default the survey's.
    strict : bool
        A stratum that falls short is an error.
    engine : str
        duckdb or spark.
    dry_run, explain : bool
        Only plan; show the SQL.

    Returns
    -------
    Receipt
        With rows, strata, rows short, and pool rows near lenses.

    Raises
    ------
    InputError
        See `planning.plan`; an existing output, inputs of two surveys, a stratum short with `strict`.
    """
    pool, output, positives = str(pool), str(output), str(positives)
    if engine not in ENGINES:
        raise InputError(f"no engine '{engine}'", f"use {' or '.join(ENGINES)}")
    if not dry_run:
        refuse_tables(output, strata, overwrite=overwrite, format=format)
    wanted, avoid, given, sources = _lenses(positives, listed(lenses))
    chain = chain_of(wanted, positives)
    of = common_survey(survey, chain, chain_at(pool))
    by = parse_strata(stratification_bins) if stratification_bins else dict(of.strata)
    exclude_arcsec = of.exclude_arcsec if exclude_arcsec is None else exclude_arcsec
    geometry.refuse_wide("exclude_arcsec", exclude_arcsec)
    with contextlib.ExitStack() as stack:
        database, scan = _begin(engine, stack, pool, by, format)
        planned = plan(
            database,
            scan.schema,
            wanted,
            by=by,
            seed=seed,
            per_positive=negatives_per_positive,
            n1_n2_ratio=n1_n2_ratio,
            cap=target_negative_count,
            lenses=avoid,
            exclude_arcsec=exclude_arcsec,
        )
        refuse_other_units(database, given)
        _show(planned, report, strict=strict, explain=explain)
        made = {
            "command": "sample",
            "output": output,
            "rows": planned.rows,
            "strata": len(planned.quotas),
            "short": sum(quota.shortfall for quota in planned.quotas),
            "near_lenses": planned.near_lenses,
        }
        if dry_run:
            return {**made, "dry_run": True}
        parameters = {
            "seed": seed,
            "negatives_per_positive": negatives_per_positive,
            "target_negative_count": target_negative_count,
            "n1_n2_ratio": list(n1_n2_ratio),
            "stratification_bins": [f"{name}={','.join(values)}" for name, values in by.items()],
            "exclude_arcsec": exclude_arcsec,
            "sql": planned.sql,
        }
        inputs = (step_input("pool", pool, scan.digest, scan.chain), *sources)
        chain = extend(Step("sample", parameters, inputs, survey=of), scan.chain, chain)
        database.keep(CHOSEN, planned.sql)
        stack.enter_context(table_beside(stamp(planned.strata, chain), strata, overwrite))
        database.write_located(CHOSEN, output, chain, rows=planned.rows, overwrite=overwrite, format=format)
    return made


def _begin(
    engine: str, stack: contextlib.ExitStack, pool: str, by: dict[str, tuple[str, ...]], format: str | None
) -> tuple[Database | Cluster, ScannedTable]:
    """Open the engine with the pool registered; `stack` closes it."""
    if engine == "spark":
        from lensctl.io.tables.spark import Cluster

        cluster = stack.enter_context(Cluster())
        return cluster, cluster.scan("pool", pool, (*NEEDED, *by))
    database = stack.enter_context(Database(memory_mb_per_thread=MEMORY_MB_PER_THREAD))
    columns = (*NEEDED, *by)
    return database, database.scan("pool", pool, format if pool == "-" else None, columns=columns, located=True)


def _lenses(positives: str, lenses: Sequence[str]) -> tuple[pa.Table, pa.Table, Lenses, tuple[Input, ...]]:
    """The positives; positions to avoid, of positives and lenses; the lenses alone; the provenance inputs."""
    import numpy as np
    import pyarrow as pa

    read = read_table(positives)
    wanted = conform(read, positives, survey_of(chain_of(read, positives)))
    schema.require(wanted, "ra", "dec", where=positives)
    schema.refuse_bad_positions(wanted, where=positives)
    own_lenses, _ = lens_catalogs.positions([positives])
    others, sources = lens_catalogs.positions(lenses)
    every = zip((wanted["ra"].to_numpy(), wanted["dec"].to_numpy()), own_lenses.every, others.every, strict=True)
    avoid = pa.table({axis: np.concatenate(values) for axis, values in zip(("ra", "dec"), every, strict=True)})
    own = step_input("positives", positives, digests.of_table(read), chain_of(read, positives))
    return wanted, avoid, others, (own, *sources)


def _show(planned: Plan, report: Reporter, *, strict: bool, explain: bool) -> None:
    """Show the table of strata and what was left out; InputError if a stratum falls short and `strict` is set."""
    by_stratum = planned.strata
    report.table("Strata", by_stratum.column_names, (list(row.values()) for row in by_stratum.to_pylist()))
    if planned.unstratified:
        report.say(f"{planned.unstratified} positives have no stratum and get no negatives")
    if explain:
        report.say(planned.sql)
    short = [quota for quota in planned.quotas if quota.shortfall]
    if short and strict:
        names = ", ".join(f"{'/'.join(q.stratum)} by {q.shortfall}" for q in short)
        raise InputError(
            f"pool: strata fall short: {names}", "ask for fewer negatives per positive, or leave out --strict"
        )
