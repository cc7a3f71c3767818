"""`lensctl evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.options import Overwrite, Root, Seed, Survey

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.evaluate.report.pictures import Read


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
    calibration: Annotated[
        str, typer.Option("--calibration", help="platt (slope and bias) or temperature scaling, fitted on val.")
    ] = "platt",
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Length of the list of best candidates.")] = 100,
    rounds: Annotated[int, typer.Option("--rounds", min=100, help="Bootstrap rounds over HEALPix pixels.")] = 2000,
    seed: Seed = 42,
    overwrite: Overwrite = False,
) -> None:
    """Evaluate a model: metrics, tables, plots, report.

    Thresholds and calibration come from split=val, headline metrics from split=test. OUT_DIR gets metrics.json,
    report.html, tables/ (parquet and CSV) and plots/ (PNG and PDF). The report shows colour cutouts if the files
    listed in the manifest can be read.

    `lensctl evaluate A --against B` compares two evaluations, or two tables of scores, on their common test galaxies,
    with paired intervals. Grades change neither thresholds nor verdict: metrics after grading are listed separately.

    Example: lensctl evaluate scores.parquet evaluation --prevalence 1e-4
    """
    from lensctl.evaluate import against as comparison
    from lensctl.evaluate import grades as visual_grades
    from lensctl.evaluate.calibrating import KINDS
    from lensctl.evaluate.evaluation import Choices
    from lensctl.evaluate.evaluation import evaluate as evaluate_scores
    from lensctl.evaluate.report import folder
    from lensctl.io.storage.atomic import refuse_existing, whole_folder
    from lensctl.io.tables.files import read_table
    from lensctl.rules.config import nearest
    from lensctl.rules.errors import InputError

    if calibration not in KINDS:
        raise InputError(f"no calibration '{calibration}'{nearest(calibration, KINDS)}", f"use {' or '.join(KINDS)}")
    if out_dir is None:
        if against is None:
            raise InputError("OUT_DIR is missing", "name the folder to create; it is optional only with --against")
        if grades is not None or prevalence is not None:
            raise InputError("--grades and --prevalence need an OUT_DIR", "name the folder to create")
        _compare(scores, against, rounds, seed)
        return
    if (Path(scores) / "metrics.json").is_file():
        raise InputError(
            f"{scores} is an evaluation, not scores", "name the scores; an evaluation is allowed only without OUT_DIR"
        )
    refuse_existing(out_dir, overwrite)
    other = None if against is None else comparison.read_other(against)
    graded = None if grades is None else visual_grades.read_grades(grades)
    table = read_table(scores)
    choices = Choices(rounds, seed, calibration, top_k, prevalence)
    name = "stdin" if scores == "-" else Path(scores).name
    evaluation = evaluate_scores(table, choices, name, survey=survey, other=other, graded=graded)
    metrics = evaluation.metrics
    read, no_pictures = _cutout_reader(table, scores, root)
    with whole_folder(out_dir, overwrite) as part:
        pictures = folder.write(evaluation, part, read, no_pictures)
    if metrics["mock"]:
        report.say(metrics["note"])
    _show(metrics)
    if metrics["against"] is not None:
        _show_comparison(metrics["against"])
    if metrics["grades"] is not None:
        _show_grades(metrics["grades"])
    headline = metrics["headline"]
    report.receipt(
        "evaluate",
        out_dir,
        rows=table.num_rows,
        unscored=sum(split["unscored"] for split in metrics["rows"].values()),
        test_auc=headline["test_auc"]["value"],
        tier_a_recall=headline["tier_a_recall"]["value"],
        levels={level: verdict["passed"] for level, verdict in metrics["levels"].items()},
        mock=metrics["mock"],
        pictures=pictures,
    )


def _compare(here: str, there: str, rounds: int, seed: int) -> None:
    """Compare two evaluations without writing files: the comparison goes into the JSON line."""
    import json

    from lensctl.evaluate import against

    found = against.compare(against.read_other(here, "scores").test, against.read_other(there), rounds, seed)
    _show_comparison(found)
    report.out(json.dumps({"command": "evaluate", "output": None, "against": found, "seconds": report.seconds()}))


def _cutout_reader(table: pa.Table, scores: str, root: Path | None) -> tuple[Read | None, str]:
    """A function that reads cutouts by row; None and the reason if they cannot be found and no --root is given."""
    from lensctl.io.cutouts.by_manifest import Cutouts
    from lensctl.io.storage.s3 import is_s3
    from lensctl.rules.errors import LensctlError

    no_pictures = "Cutouts were not found, so there are no pictures; evaluate with --root to add them."
    if root is None and (scores == "-" or is_s3(scores)):
        return None, no_pictures
    try:
        cutouts = Cutouts(table, root or Path(scores).absolute().parent)
        cutouts.read([0])
    except LensctlError:
        if root is not None:
            raise
        return None, no_pictures
    return cutouts.read, ""


def _show(metrics: dict[str, Any]) -> None:
    for level, verdict in metrics["levels"].items():
        rows = []
        for row in verdict["rows"]:
            interval = "" if row["low"] is None else f"{row['low']:.4f} to {row['high']:.4f}"
            answer = "reported" if row["passed"] is None else "yes" if row["passed"] else "NO"
            remarks = [
                "limit is inside the interval" if row["limit_inside_interval"] else "",
                "fewer than 10 events" if row["few"] else "",
            ]
            remark = "; ".join(filter(None, remarks))
            rows.append((row["criterion"], row["value"], interval, row["limit"], answer, remark))
        title = f"Level {level}: {'reached' if verdict['passed'] else 'not reached'}"
        report.table(title, ("criterion", "value", "95% CI", "limit", "reached", "remark"), rows)


def _show_comparison(found: dict[str, Any]) -> None:
    from lensctl.evaluate.against import sentence

    rows = [
        (
            row["figure"],
            row["here"],
            row["there"],
            row["difference"],
            "" if row["low"] is None else f"{row['low']:.4f} to {row['high']:.4f}",
            row["verdict"],
            "fewer than 10 events" if row["few"] else "",
        )
        for row in found["figures"]
    ]
    columns = ("metric", "here", "other", "difference", "paired 95% CI", "here is", "remark")
    report.table(f"Compared with {found['name']}", columns, rows)
    report.say(sentence(found))


def _show_grades(found: dict[str, Any]) -> None:
    rows = [(row["figure"], row["before"]["value"], row["after"]["value"]) for row in found["figures"]]
    report.table(f"With the grades of {found['name']}", ("metric", "as labelled", "as graded"), rows)
    out = found["left_out_of_test"]
    report.say(
        f"{found['among_scores']:,} of {found['graded']:,} graded galaxies are among the scores; as graded, test "
        f"excludes {out['others_that_are_lenses']:,} negatives graded as lenses and "
        f"{out['lenses_that_are_none']:,} lenses graded as non-lenses. {found['note']}"
    )
