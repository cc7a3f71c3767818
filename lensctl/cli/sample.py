"""`lensctl sample`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Lenses, Output, Overwrite, Seed, Survey

if TYPE_CHECKING:
    import contextlib

    import pyarrow as pa

    from lensctl.io.provenance.steps import Input
    from lensctl.io.tables.spark import Cluster
    from lensctl.io.tables.sql import Database, ScannedTable
    from lensctl.sample import Plan

ENGINES = ("duckdb", "spark")
MEMORY_MB_PER_THREAD = 450


@command("sample", TABLES)
def sample(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Pool made by `lensctl pool`; - is stdin.")],
    output: Output,
    positives: Annotated[
        str, typer.Option("--positives", metavar="TABLE", help="Positives; their strata set the targets.")
    ],
    lenses: Lenses = [],  # noqa: B006
    survey: Survey = None,
    strata: Annotated[
        str | None,
        typer.Option("--strata", metavar="FILE", help="Also write the table of strata here.", show_default=False),
    ] = None,
    seed: Seed = 42,
    negatives_per_positive: Annotated[int, typer.Option(min=1, help="Negatives per positive in each stratum.")] = 100,
    target_negative_count: Annotated[
        int, typer.Option(min=1, help="Maximum total rows; targets are scaled down to it.")
    ] = 510_000,
    n1_n2_ratio: Annotated[tuple[float, float], typer.Option(help="Fractions of N1 and N2; must add up to 1.")] = (
        0.85,
        0.15,
    ),
    stratification_bins: Annotated[
        list[str],
        typer.Option(
            metavar="COLUMN=A,B,…",
            help="Stratum column and its values, or bin edges; repeatable. Default the survey's"
            " (nobs_z=3-5,6-10,11+ type=SER,DEV,REX).",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    exclude_arcsec: Annotated[
        float | None,
        typer.Option(
            min=0, help="Minimum distance from lenses and positives; default the survey's (11).", show_default=False
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a stratum falls short.")] = False,
    engine: Annotated[str, typer.Option(help="duckdb, or spark if the pool outgrows one machine.")] = "duckdb",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the table of strata.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show the SQL that selects the rows.")] = False,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw stratified negatives from a pool, reproducibly.

    For each positive, negatives are drawn from its own stratum (nobs_z bin and type), 85 % N1 and 15 % N2. Rows are
    taken in the order of MD5("seed:galaxy_id"), and carry the number of pool rows they stand for (sampling_weight).

    Example: lensctl sample pool.parquet negatives.parquet --positives positives.parquet --negatives-per-positive 5
    """
    import contextlib

    from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
    from lensctl.io.storage.atomic import refuse_existing
    from lensctl.io.tables.files import chain_at, write_table
    from lensctl.rules.errors import InputError
    from lensctl.rules.strata import parse_strata
    from lensctl.sample import CHOSEN, plan

    if engine not in ENGINES:
        raise InputError(f"no engine '{engine}'", f"use {' or '.join(ENGINES)}")

    for path in (output, strata):
        if path and not dry_run:
            refuse_existing(path, overwrite)
    wanted, avoid, sources = _lenses(positives, lenses)
    chain = chain_of(wanted, positives)
    of = common_survey(survey, chain, chain_at(pool))
    by = parse_strata(stratification_bins) if stratification_bins else dict(of.strata)
    exclude_arcsec = of.exclude_arcsec if exclude_arcsec is None else exclude_arcsec
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
        _say(planned, strict=strict, explain=explain)
        if dry_run:
            return
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
        database.write_located(CHOSEN, output, chain, rows=planned.rows, overwrite=overwrite, format=format)
    if strata:
        write_table(stamp(planned.strata, chain), strata, overwrite=overwrite)
    report.receipt(
        "sample",
        output,
        rows=planned.rows,
        strata=len(planned.quotas),
        short=sum(quota.shortfall for quota in planned.quotas),
        near_lenses=planned.near_lenses,
    )


def _begin(
    engine: str, stack: contextlib.ExitStack, pool: str, by: dict[str, tuple[str, ...]], format: str | None
) -> tuple[Database | Cluster, ScannedTable]:
    """Open the engine with the pool registered; `stack` closes it."""
    if engine == "spark":
        from lensctl.io.tables.spark import Cluster
        from lensctl.sample import NEEDED

        cluster = stack.enter_context(Cluster())
        return cluster, cluster.scan("pool", pool, (*NEEDED, *by))
    from lensctl.io.tables.sql import Database

    database = stack.enter_context(Database(memory_mb_per_thread=MEMORY_MB_PER_THREAD))
    return database, database.scan("pool", pool, format if pool == "-" else None, located=True)


def _lenses(positives: str, lenses: list[str]) -> tuple[pa.Table, pa.Table, tuple[Input, ...]]:
    """The positives; the positions to avoid (positives and all lens catalogues); and the provenance inputs."""
    import numpy as np
    import pyarrow as pa

    from lensctl.io.provenance import digests
    from lensctl.io.provenance.steps import chain_of, step_input, survey_of
    from lensctl.io.tables import lens_catalogs
    from lensctl.io.tables.files import read_table
    from lensctl.rules import schema

    read = read_table(positives)
    wanted = schema.conform(read, positives, survey_of(chain_of(read, positives)))
    schema.require(wanted, "ra", "dec", where=positives)
    schema.refuse_bad_positions(wanted, where=positives)
    ra, dec, sources = lens_catalogs.positions([positives, *lenses])
    avoid = pa.table({"ra": np.r_[wanted["ra"].to_numpy(), ra], "dec": np.r_[wanted["dec"].to_numpy(), dec]})
    own = step_input("positives", positives, digests.of_table(wanted), chain_of(wanted, positives))
    return wanted, avoid, (own, *sources[1:])


def _say(planned: Plan, *, strict: bool, explain: bool) -> None:
    """Show the table of strata and what was left out; InputError if a stratum falls short and `strict` is set."""
    from lensctl.rules.errors import InputError

    by_stratum = planned.strata
    report.table("Strata", by_stratum.column_names, (row.values() for row in by_stratum.to_pylist()))
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
