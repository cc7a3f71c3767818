"""From a pool on disk or S3 to a table of negatives: stratified, or uniform."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.astro import geometry
from lensctl.io.paths import Paths, listed
from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.tables.files import chain_at, refuse_tables, table_beside
from lensctl.io.tables.scanned import ScannedTable
from lensctl.io.tables.sql import Database
from lensctl.rules.errors import InputError
from lensctl.rules.sampling_rule import SEED
from lensctl.rules.strata import parse_strata
from lensctl.rules.survey import Survey
from lensctl.sample import planning, uniform_plan
from lensctl.sample.avoided import read_avoided, read_positives
from lensctl.sample.choosing import CHOSEN
from lensctl.sample.condition import columns_of
from lensctl.sample.kinds import STRATIFIED, UNIFORM, kind_of
from lensctl.sample.near_lenses import refuse_other_units

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.io.tables.spark import Cluster

ENGINES = ("duckdb", "spark")
MEMORY_MB_PER_THREAD = 450


@dataclass(frozen=True)
class Draw:
    """What is drawn: rows and SQL, what the receipt and the step say of it, and what people are told."""

    rows: int
    sql: str
    counts: dict[str, Any]
    parameters: dict[str, Any]
    strata: pa.Table | None = None
    short: str = ""
    notes: list[str] = field(default_factory=list)


def sample(
    pool: str | Path,
    output: str | Path,
    *,
    positives: str | Path | None = None,
    uniform: int | None = None,
    where: str | None = None,
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
    """Draw negatives from a pool: the same rows for the same seed, whatever the engine.

    Parameters
    ----------
    pool, output : path
        Table or folder of the pool, and table to write; `-` is stdin and stdout.
    positives : path, optional
        Made by `crossmatch`; their strata set the targets of a stratified draw.
    uniform : int, optional
        Draw so many rows, each of the pool as likely, in place of a stratified draw; they get tier N0.
    where : str, optional
        SQL condition on the rows of a uniform draw, such as "split = 'test'".
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
        With rows and pool rows near lenses; strata and rows short, or the rows drawn from and the weight of each.

    Raises
    ------
    InputError
        See `planning.plan`, `uniform_plan.plan_uniform` and `kinds.kind_of`; an existing output, inputs of two surveys,
        a stratum short with `strict`.
    """
    kind = kind_of(dict(locals()), _DEFAULTS)
    pool, output = str(pool), str(output)
    if engine not in ENGINES:
        raise InputError(f"no engine '{engine}'", f"use {' or '.join(ENGINES)}")
    if not dry_run:
        refuse_tables(output, strata, overwrite=overwrite, format=format)
    wanted = None if positives is None else read_positives(str(positives))
    avoided = read_avoided(wanted, listed(lenses))
    chain = () if wanted is None else chain_of(wanted.table, wanted.path)
    of = common_survey(survey, chain, chain_at(pool))
    exclude_arcsec = of.exclude_arcsec if exclude_arcsec is None else exclude_arcsec
    geometry.refuse_wide("exclude_arcsec", exclude_arcsec)
    apart: dict[str, Any] = {"seed": seed, "lenses": avoided.positions, "exclude_arcsec": exclude_arcsec}
    with contextlib.ExitStack() as stack:
        if kind == STRATIFIED and wanted is not None:
            by = parse_strata(stratification_bins) if stratification_bins else dict(of.strata)
            database, scan = _begin(engine, stack, pool, (*planning.NEEDED, *by), format)
            mix: dict[str, Any] = {
                "negatives_per_positive": negatives_per_positive,
                "target_negative_count": target_negative_count,
                "n1_n2_ratio": n1_n2_ratio,
            }
            drawn = _stratified(database, scan, wanted.table, by, mix, apart)
        if kind == UNIFORM and uniform is not None:
            read = (*uniform_plan.NEEDED, *columns_of(where or ""))
            database, scan = _begin(engine, stack, pool, tuple(dict.fromkeys(read)), format)
            drawn = _uniform(database, scan, uniform, where, apart)
        refuse_other_units(database, avoided.lenses)
        _show(drawn, report, strict=strict, explain=explain)
        made = {"command": "sample", "output": output, "rows": drawn.rows, **drawn.counts}
        if dry_run:
            return {**made, "dry_run": True}
        parameters = {"seed": seed, **drawn.parameters, "exclude_arcsec": exclude_arcsec, "sql": drawn.sql}
        inputs = (step_input("pool", pool, scan.digest, scan.chain), *avoided.sources)
        chain = extend(Step("sample", parameters, inputs, survey=of), scan.chain, chain)
        database.keep(CHOSEN, drawn.sql)
        if drawn.strata is not None:
            stack.enter_context(table_beside(stamp(drawn.strata, chain), strata, overwrite))
        database.write_located(CHOSEN, output, chain, rows=drawn.rows, overwrite=overwrite, format=format)
    return made


_DEFAULTS = {name: each.default for name, each in inspect.signature(sample).parameters.items()}


def _begin(
    engine: str, stack: contextlib.ExitStack, pool: str, columns: Sequence[str], format: str | None
) -> tuple[Database | Cluster, ScannedTable]:
    """Open the engine with columns of the pool registered; `stack` closes it."""
    if engine == "spark":
        from lensctl.io.tables.spark import Cluster

        cluster = stack.enter_context(Cluster())
        return cluster, cluster.scan("pool", pool, columns)
    database = stack.enter_context(Database(memory_mb_per_thread=MEMORY_MB_PER_THREAD))
    return database, database.scan("pool", pool, format if pool == "-" else None, columns=columns, located=True)


def _stratified(
    database: Database | Cluster,
    scan: ScannedTable,
    wanted: pa.Table,
    by: dict[str, tuple[str, ...]],
    mix: dict[str, Any],
    apart: dict[str, Any],
) -> Draw:
    planned = planning.plan(
        database,
        scan.schema,
        wanted,
        by=by,
        per_positive=mix["negatives_per_positive"],
        n1_n2_ratio=mix["n1_n2_ratio"],
        cap=mix["target_negative_count"],
        **apart,
    )
    short = [quota for quota in planned.quotas if quota.shortfall]
    counts = {"strata": len(planned.quotas), "short": sum(quota.shortfall for quota in short)}
    bins = [f"{name}={','.join(values)}" for name, values in by.items()]
    return Draw(
        planned.rows,
        planned.sql,
        {**counts, "near_lenses": planned.near_lenses},
        {**mix, "n1_n2_ratio": list(mix["n1_n2_ratio"]), "stratification_bins": bins},
        planned.strata,
        ", ".join(f"{'/'.join(quota.stratum)} by {quota.shortfall}" for quota in short),
        [f"{planned.unstratified} positives have no stratum and get no negatives"] if planned.unstratified else [],
    )


def _uniform(
    database: Database | Cluster, scan: ScannedTable, count: int, where: str | None, apart: dict[str, Any]
) -> Draw:
    planned = uniform_plan.plan_uniform(database, scan.schema, count, where=where, **apart)
    counts = {"drawn_from": planned.pool_rows, "sampling_weight": planned.sampling_weight}
    return Draw(
        planned.rows,
        planned.sql,
        {**counts, "near_lenses": planned.near_lenses},
        {"uniform": count, "where": where},
        notes=[f"{count:,} of {planned.pool_rows:,} rows: each stands for {planned.sampling_weight:.6g}"],
    )


def _show(drawn: Draw, report: Reporter, *, strict: bool, explain: bool) -> None:
    """Show the table of strata and what was left out; InputError if a stratum falls short and `strict` is set."""
    if drawn.strata is not None:
        rows = (list(row.values()) for row in drawn.strata.to_pylist())
        report.table("Strata", drawn.strata.column_names, rows)
    for note in drawn.notes:
        report.say(note)
    if explain:
        report.say(drawn.sql)
    if drawn.short and strict:
        raise InputError(
            f"pool: strata fall short: {drawn.short}", "ask for fewer negatives per positive, or leave out --strict"
        )
