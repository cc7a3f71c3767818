"""`lensctl evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.options import Overwrite, Root, Seed, Survey


@command("evaluate", MODEL)
def evaluate(
    scores: Annotated[str, typer.Argument(metavar="SCORES", help="Made by `lensctl score`; - is stdin.")],
    out_dir: Annotated[
        str | None,
        typer.Argument(metavar="OUT_DIR", help="Folder to create; optional with --against.", show_default=False),
    ] = None,
    survey: Survey = None,
    root: Root = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            "--prevalence", help="Fraction of lenses on the sky, such as 1e-4; adds metrics for it.", show_default=False
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="OTHER",
            help="Another evaluation, or a table of scores, to compare with.",
            show_default=False,
        ),
    ] = None,
    grades: Annotated[
        str | None,
        typer.Option(
            "--grades",
            metavar="FILE",
            help="Grades downloaded from a report; adds metrics after grading.",
            show_default=False,
        ),
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(
            "--thresholds",
            metavar="RUN|FROZEN",
            help="A run, a frozen model or an evaluation, whose thresholds and calibration are used instead of val's.",
            show_default=False,
        ),
    ] = None,
    negatives: Annotated[
        str | None,
        typer.Option(
            "--negatives",
            metavar="SCORES",
            help="Scores of a uniform draw (`sample --uniform`) by the same model, for recall at FPR 1e-4 and 1e-5.",
            show_default=False,
        ),
    ] = None,
    lenses: Annotated[
        list[str],
        typer.Option(
            "--lenses",
            metavar="CATALOG",
            help="Catalogue whose lenses must not be near rows of --negatives; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="MANIFEST",
            help="What the model was trained on: its train and val must not be in --negatives.",
            show_default=False,
        ),
    ] = None,
    all_rows: Annotated[
        bool, typer.Option("--all-rows", help="Judge every row, whatever its split; needs --thresholds.")
    ] = False,
    headline: Annotated[
        str, typer.Option("--headline", help="Figure that --against was made for; the others are corrected for many.")
    ] = "recall at FPR 0.01",
    calibration: Annotated[
        str, typer.Option("--calibration", help="platt (slope and bias) or temperature scaling, fitted on val.")
    ] = "platt",
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Length of the list of best candidates.")] = 100,
    rounds: Annotated[
        int, typer.Option("--rounds", min=100, max=100_000, help="Bootstrap rounds over HEALPix pixels.")
    ] = 2000,
    seed: Seed = 42,
    overwrite: Overwrite = False,
) -> None:
    """Evaluate a model: metrics, tables, plots, report.

    Thresholds and calibration come from split=val, headline metrics from split=test. OUT_DIR gets metrics.json,
    report.html, tables/ (parquet and CSV) and plots/ (PNG and PDF). The report shows colour cutouts if the files
    listed in the manifest can be read.

    `lensctl evaluate A --against B` compares two evaluations, or two tables of scores, on their common test galaxies,
    with paired intervals. One figure, --headline, is judged by itself; p-values of the others are corrected for their
    number. Grades change neither thresholds nor verdict: metrics after grading are listed separately.

    `lensctl evaluate OUTSIDE OUT_DIR --all-rows --thresholds RUN` judges another labelled set, scored with the same
    model, at the thresholds that are chosen on the model's own val; a frozen model or an evaluation does as well.

    `--negatives UNIFORM` adds recall at low false positive rates on a uniform draw, and tables/fpr by confuser class.
    Rows that the model may know, by the split rule or --manifest, and rows near a lens are refused.

    A level is reached, missed or not told: what its interval says of the limit.

    Example: lensctl evaluate scores.parquet evaluation --prevalence 1e-4
    """
    from lensctl.evaluate import evaluate

    made = evaluate(
        scores,
        out_dir,
        survey=survey,
        root=root,
        prevalence=prevalence,
        against=against,
        grades=grades,
        thresholds=thresholds,
        negatives=negatives,
        lenses=lenses,
        manifest=manifest,
        all_rows=all_rows,
        headline=headline,
        calibration=calibration,
        top_k=top_k,
        rounds=rounds,
        seed=seed,
        overwrite=overwrite,
        report=report,
    )
    report.receipt(**made)
