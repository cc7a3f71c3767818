"""`lensctl search`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, Threads, set_openmp_wait_policy
from lensctl.cli.options import MOST_AT_ONCE, Key, MaxEmpty, Overwrite, Survey, Workers
from lensctl.rules.acceptance import MAX_EMPTY


@command("search", MODEL)
def search(
    frozen: Annotated[str, typer.Argument(metavar="FROZEN", help="Frozen model; it is verified first.")],
    tables: Annotated[
        list[str],
        typer.Argument(metavar="TABLE...", help="Sweeps or Tractor files, parquet or HATS: galaxy_id, ra, dec."),
    ],
    out_dir: Annotated[str, typer.Argument(metavar="OUT_DIR", help="Folder to make, on disk or s3://.")],
    root: Annotated[
        str | None,
        typer.Option(
            help="Coadds: folder, s3:// or http(s):// that holds coadd/, south/coadd/, or the files. A password or "
            "token in the address is sent, never recorded.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[str, typer.Option(help="Where cutouts come from: coadd.")] = "coadd",
    survey: Survey = None,
    criteria: Annotated[
        str, typer.Option(help="Search only rows that meet these criteria: plan, paper4 or none.")
    ] = "none",
    max_empty: MaxEmpty = MAX_EMPTY,
    keep: Annotated[
        int | None,
        typer.Option(min=1, max=10_000_000, help="Candidates: the rows with the highest logits; by default 5000."),
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead of --keep: every row that reaches this frozen threshold, such as fpr=0.001.",
            show_default=False,
        ),
    ] = None,
    lenses: Annotated[
        list[str],
        typer.Option(
            "--lenses",
            metavar="CATALOG",
            help="Known lenses, to name candidates and measure recall; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    manifest: Annotated[
        list[str],
        typer.Option(
            metavar="FILE",
            help="Training manifest; its train and val rows are flagged; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    null: Annotated[
        list[str],
        typer.Option(
            metavar="SCORES",
            help="Scores, by this model, of galaxies that are not lenses: candidates get q-values; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    hats: Annotated[bool, typer.Option("--hats", help="Make scores/ a HATS catalogue.")] = False,
    part: Annotated[
        str | None, typer.Option(metavar="K/N", help="Search only part K of N.", show_default=False)
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Make the output after all --part runs.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, at a rate measured on the first bricks.")
    ] = False,
    connections: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, help="Concurrent requests.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds to wait for a response.")] = 60.0,
    tries: Annotated[int, typer.Option(min=1, help="Maximum attempts per request; not used for S3.")] = 6,
    workers: Workers = None,
    device: Device = "auto",
    threads: Threads = None,
    key: Key = None,
    overwrite: Overwrite = False,
) -> None:
    """Search tables of galaxies with a frozen model.

    Cutouts are cut from coadds and scored brick by brick, without a store. OUT_DIR gets the scores of every row, ranked
    candidates with their cutouts, the sky searched and lost, known lenses found and missed, and a report. Rerun the
    command to resume an interrupted run.

    Example: lensctl search frozen 'sky/south/sweep/10.0/*.fits' found --root sky --lenses sky/lenses.csv --keep 20
    """
    set_openmp_wait_policy()
    from lensctl.search import search

    report.receipt(
        **search(
            frozen,
            tables,
            out_dir,
            root=root,
            source=source,
            survey=survey,
            criteria=criteria,
            max_empty=max_empty,
            keep=keep,
            threshold=threshold,
            lenses=lenses,
            manifest=manifest,
            null=null,
            hats=hats,
            part=part,
            finish=finish,
            dry_run=dry_run,
            device=device,
            threads=threads,
            workers=workers,
            connections=connections,
            timeout=timeout,
            tries=tries,
            key=key,
            overwrite=overwrite,
            report=report,
        )
    )
