"""`lensctl sample`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Lenses, Output, Overwrite, Seed

PLAN_BINS = ["nobs_z=3-5,6-10,11+", "type=SER,DEV,REX"]


@command("sample", TABLES)
def sample(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Pool made by `lensctl pool`; - is stdin.")],
    output: Output,
    positives: Annotated[
        str, typer.Option("--positives", metavar="TABLE", help="Positives whose strata set the targets.")
    ],
    lenses: Lenses = [],  # noqa: B006
    strata: Annotated[
        str | None,
        typer.Option("--strata", metavar="FILE", help="Also write the table of strata here.", show_default=False),
    ] = None,
    seed: Seed = 42,
    negatives_per_positive: Annotated[int, typer.Option(min=1, help="Negatives for each positive of a stratum.")] = 100,
    target_negative_count: Annotated[
        int, typer.Option(min=1, help="Most rows in all; targets are scaled to it.")
    ] = 510_000,
    n1_n2_ratio: Annotated[tuple[float, float], typer.Option(help="Shares of N1 and N2; they add up to 1.")] = (
        0.85,
        0.15,
    ),
    stratification_bins: Annotated[
        list[str],
        typer.Option(metavar="COLUMN=A,B,…", help="Stratum column and the values that count; repeat for several."),
    ] = PLAN_BINS,
    exclude_arcsec: Annotated[float, typer.Option(min=0, help="Draw no row this near to a lens or positive.")] = 11.0,
    strict: Annotated[bool, typer.Option("--strict", help="A stratum that falls short is an error.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the table of strata.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show the SQL that chooses the rows.")] = False,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw stratified negatives from a pool, reproducibly.

    Each positive asks for a number of negatives of its own stratum (nobs_z bin and type), 85 % N1 and 15 % N2. Rows are
    taken in the order of MD5("seed:galaxy_id"), and carry the number of pool rows they stand for (sampling_weight).

    Example: lensctl sample pool.parquet negatives.parquet --positives positives.parquet --negatives-per-positive 5
    """
    import numpy as np
    import pyarrow as pa

    from lensctl.doors import digests, lens_catalogs, provenance, tables
    from lensctl.doors.sql import Database
    from lensctl.doors.whole import refuse_existing
    from lensctl.sample import bins_from, sample, strata_table
    from lensctl.words import schema
    from lensctl.words.errors import InputError

    for path in (output, strata):
        if path and not dry_run:
            refuse_existing(path, overwrite)
    wanted = tables.read(positives)
    schema.require(wanted, "ra", "dec", where=positives)
    schema.refuse_bad_positions(wanted, where=positives)
    ra, dec, sources = lens_catalogs.positions([positives, *lenses])
    avoid = pa.table({"ra": np.r_[wanted["ra"].to_numpy(), ra], "dec": np.r_[wanted["dec"].to_numpy(), dec]})
    bins = bins_from(stratification_bins)
    with Database() as database:
        scan = database.scan("pool", pool, format if pool == "-" else None)
        drawn = sample(
            database,
            scan,
            wanted,
            bins=bins,
            seed=seed,
            per_positive=negatives_per_positive,
            n1_n2_ratio=n1_n2_ratio,
            cap=target_negative_count,
            lenses=avoid,
            exclude_arcsec=exclude_arcsec,
        )
    by_stratum = strata_table(drawn.quotas, tuple(bins))
    report.table("Strata", by_stratum.column_names, (row.values() for row in by_stratum.to_pylist()))
    if drawn.unstratified:
        report.say(f"{drawn.unstratified} positives have no stratum and ask for no negatives")
    if explain:
        report.say(drawn.sql)
    short = [quota for quota in drawn.quotas if quota.shortfall]
    if short and strict:
        names = ", ".join(f"{'/'.join(q.stratum)} by {q.shortfall}" for q in short)
        raise InputError(
            f"pool: strata fall short: {names}", "ask for fewer negatives per positive, or leave out --strict"
        )
    if dry_run:
        return
    chain = provenance.chain_of(wanted, positives)
    step = provenance.Step(
        "sample",
        {
            "seed": seed,
            "negatives_per_positive": negatives_per_positive,
            "target_negative_count": target_negative_count,
            "n1_n2_ratio": list(n1_n2_ratio),
            "stratification_bins": list(stratification_bins),
            "exclude_arcsec": exclude_arcsec,
            "sql": drawn.sql,
        },
        (
            provenance.source("pool", pool, scan.digest, scan.chain),
            provenance.source("positives", positives, digests.of_table(wanted), chain),
            *sources[1:],
        ),
    )
    whole = provenance.extend(step, scan.chain, chain)
    tables.write(provenance.stamp(drawn.rows, whole), output, overwrite=overwrite, format=format)
    if strata:
        tables.write(provenance.stamp(by_stratum, whole), strata, overwrite=overwrite)
    report.receipt(
        "sample",
        output,
        rows=drawn.rows.num_rows,
        strata=len(drawn.quotas),
        short=sum(quota.shortfall for quota in drawn.quotas),
        near_lenses=drawn.near_lenses,
    )
