"""`lensctl sample`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Lenses, Output, Overwrite, Seed, Survey
from lensctl.rules.sampling_rule import SEED


@command("sample", TABLES)
def sample(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Pool made by `lensctl pool`; - is stdin.")],
    output: Output,
    positives: Annotated[
        str | None,
        typer.Option(
            "--positives",
            metavar="TABLE",
            help="Positives; their strata set the targets. --uniform stays away from them.",
            show_default=False,
        ),
    ] = None,
    uniform: Annotated[
        int | None,
        typer.Option(
            "--uniform",
            metavar="N",
            min=1,
            help="Draw N rows uniformly from the pool instead (tier N0).",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="SQL",
            help="Condition on the rows of --uniform, such as \"split = 'test'\".",
            show_default=False,
        ),
    ] = None,
    hard: Annotated[
        str | None,
        typer.Option(
            "--hard",
            metavar="SCORES",
            help="Draw --count rows of train instead, those with the highest logit; needs --lenses.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, help="Number of hard negatives.", show_default=False),
    ] = None,
    grades: Annotated[
        list[str],
        typer.Option(
            "--grades",
            metavar="FILE",
            help="Grades: no hard negative is or lies near a galaxy of A, B or C; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    candidates: Annotated[
        list[str],
        typer.Option(
            "--candidates",
            metavar="TABLE",
            help="Candidates of a search: no hard negative is or lies near one; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="MANIFEST",
            help="Galaxies that are not drawn again as hard negatives.",
            show_default=False,
        ),
    ] = None,
    control: Annotated[
        bool,
        typer.Option("--control", help="As many random rows of those --hard draws from: the other arm."),
    ] = False,
    lenses: Lenses = [],  # noqa: B006
    survey: Survey = None,
    strata: Annotated[
        str | None,
        typer.Option("--strata", metavar="FILE", help="Also write the table of strata here.", show_default=False),
    ] = None,
    seed: Seed = SEED,
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
    """Draw negatives from a pool, reproducibly.

    For each positive, negatives are drawn from its own stratum (nobs_z bin and type), 85 % N1 and 15 % N2. Rows are
    taken in the order of MD5("seed:galaxy_id"), and carry the number of pool rows they stand for (sampling_weight).

    With --uniform N, N rows are drawn in the same order, each of the pool as likely, with tier N0: what a model meets
    when it searches. `lensctl evaluate --negatives` measures low false positive rates on them.

    With --hard SCORES, the --count rows of the train split that a model scored highest are drawn, none near a lens, a
    candidate or a graded galaxy, none whose cutout reaches another split. `mined` says which round a row came from;
    whether it helped, `lensctl evaluate --against` tells, with an arm of --control rows.

    Example: lensctl sample pool.parquet negatives.parquet --positives positives.parquet --negatives-per-positive 5
    """
    from lensctl.sample import sample

    report.receipt(
        **sample(
            pool,
            output,
            positives=positives,
            uniform=uniform,
            where=where,
            hard=hard,
            count=count,
            grades=grades,
            candidates=candidates,
            manifest=manifest,
            control=control,
            lenses=lenses,
            survey=survey,
            strata=strata,
            seed=seed,
            negatives_per_positive=negatives_per_positive,
            target_negative_count=target_negative_count,
            n1_n2_ratio=n1_n2_ratio,
            stratification_bins=stratification_bins,
            exclude_arcsec=exclude_arcsec,
            strict=strict,
            engine=engine,
            dry_run=dry_run,
            explain=explain,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
