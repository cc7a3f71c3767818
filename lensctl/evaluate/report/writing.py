"""From a table of scores to the folder of an evaluation, or to a comparison of two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.evaluate import against as against_
from lensctl.evaluate import grades as grades_
from lensctl.evaluate.calibrating import KINDS
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.given_thresholds import read_thresholds
from lensctl.evaluate.report import folder, ranking, unlabelled
from lensctl.evaluate.uniform.rows import read_uniform
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.io.paths import Paths, listed
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import refuse_existing
from lensctl.io.storage.resumable import whole_folder
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.files import read_table
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError, LensctlError
from lensctl.rules.survey import Survey
from lensctl.stats.intervals import ROUNDS

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.evaluate.given_thresholds import Given
    from lensctl.io.html.pictures import Read


FEW_REMARK = "fewer than 10 events"


def evaluate(
    scores: str | Path,
    out_dir: str | Path | None = None,
    *,
    survey: Survey | str | None = None,
    root: str | Path | None = None,
    prevalence: float | None = None,
    against: str | Path | None = None,
    grades: str | Path | None = None,
    thresholds: str | Path | None = None,
    negatives: str | Path | None = None,
    lenses: Paths = (),
    manifest: str | Path | None = None,
    all_rows: bool = False,
    headline: str = against_.HEADLINE,
    calibration: str = "platt",
    top_k: int = 100,
    rounds: int = ROUNDS,
    seed: int = 42,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Evaluate a model from its scores: metrics, tables, plots and a report in a folder.

    Scores without labels are ranked, and no more.

    Parameters
    ----------
    scores, out_dir : path
        Made by `score` (`-` is stdin), and the folder to create; without one, two evaluations are only compared.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the scores name none.
    root : path, optional
        Folder that `cutout_path` is relative to, for pictures; default that of the scores.
    prevalence, calibration, top_k, rounds, seed
        See `Choices`.
    against : path, optional
        Another evaluation, or its scores, to compare with.
    grades : path, optional
        Visual grades.
    thresholds : path, optional
        A run, a frozen model or an evaluation whose thresholds and calibration are used instead of those of split=val.
    negatives : path, optional
        Scores of a uniform draw by the same model (`sample --uniform`), for recall at low false positive rates.
    lenses : sequence of paths
        Catalogues: a row of `negatives` near one of their lenses is refused, as one near a lens of the scores is.
    manifest : path, optional
        The one that the model was trained on: its galaxies of train and val are refused among `negatives` too.
    all_rows : bool
        Judge every row, whatever its split, with `thresholds`: an outside labelled set.
    headline : str
        The figure of a comparison that was chosen beforehand.

    Returns
    -------
    Receipt
        With headline metrics, or with the comparison.

    Raises
    ------
    InputError
        See `evaluation.evaluation_of`; options that exclude each other, an existing folder.
    """
    scores = str(scores)
    if calibration not in KINDS:
        raise InputError(f"no calibration '{calibration}'{nearest(calibration, KINDS)}", f"use {' or '.join(KINDS)}")
    if all_rows and thresholds is None:
        raise InputError(
            "--all-rows needs --thresholds", "name the run, frozen model or evaluation that thresholds come from"
        )
    if all_rows and against is not None:
        raise InputError("--all-rows and --against exclude each other", "compare two evaluations of split=test")
    if negatives is None and (listed(lenses) or manifest is not None):
        raise InputError("--lenses and --manifest belong to --negatives", "give the scores of a uniform draw, too")
    if out_dir is None:
        if against is None:
            raise InputError("OUT_DIR is missing", "name the folder to create; it is optional only with --against")
        if any(each is not None for each in (grades, prevalence, thresholds, negatives)):
            raise InputError(
                "--grades, --prevalence, --thresholds and --negatives need an OUT_DIR", "name the folder to create"
            )
        here, there = against_.read_other(scores, "scores"), against_.read_other(str(against))
        found = against_.compare(here.test, there, rounds, seed, headline)
        _show_comparison(found, report)
        return {"command": "evaluate", "output": None, "against": found}
    if (Path(scores) / "metrics.json").is_file():
        raise InputError(
            f"{scores} is an evaluation, not scores", "name the scores; an evaluation is allowed only without OUT_DIR"
        )
    refuse_existing(str(out_dir), overwrite)
    other = None if against is None else against_.read_other(str(against))
    graded = None if grades is None else grades_.read_grades(str(grades))
    given = None if thresholds is None else read_thresholds(str(thresholds), calibration)
    drawn = None
    if negatives is not None:
        drawn = read_uniform(str(negatives), listed(lenses), None if manifest is None else str(manifest))
    table = read_table(scores)
    if unlabelled.is_unlabelled(table):
        for option, value in (("--against", against), ("--prevalence", prevalence), ("--all-rows", all_rows or None),
                              ("--negatives", negatives)):  # fmt: skip
            if value is not None:
                raise InputError(f"{scores}: scores without labels, of which {option} cannot be told", "leave it out")
        return _rank(table, scores, str(out_dir), top_k, survey, root, given, graded, overwrite, report)
    choices = Choices(rounds, seed, calibration, top_k, prevalence, headline, all_rows)
    name = "stdin" if scores == "-" else Path(scores).name
    evaluation = evaluation_of(
        table, choices, name, survey=survey, other=other, graded=graded, given=given, negatives=drawn
    )
    metrics = evaluation.metrics
    read, no_pictures = _cutout_reader(table, scores, root)
    with whole_folder(out_dir, "evaluate", overwrite) as part:
        pictures = folder.write(evaluation, part, read, no_pictures)
    if metrics["mock"]:
        report.say(metrics["note"])
    _show(metrics, report)
    if metrics["against"] is not None:
        _show_comparison(metrics["against"], report)
    if metrics["grades"] is not None:
        _show_grades(metrics["grades"], report)
    if metrics["negatives"] is not None:
        _show_negatives(metrics["negatives"], report)
    figures = metrics["headline"]
    made = {
        "command": "evaluate",
        "output": str(out_dir),
        "rows": table.num_rows,
        "unscored": sum(split["unscored"] for split in metrics["rows"].values()),
        "test_auc": figures["test_auc"]["value"],
        "tier_a_recall": figures["tier_a_recall"]["value"],
        "levels": {level: judged["verdict"] for level, judged in metrics["levels"].items()},
        "mock": metrics["mock"],
        "pictures": pictures,
    }
    return made if metrics["negatives"] is None else {**made, "negatives": metrics["negatives"]["rows"]}


def _rank(
    table: pa.Table,
    scores: str,
    out_dir: str,
    top: int,
    survey: Survey | str | None,
    root: str | Path | None,
    given: Given | None,
    graded: grades_.Grades | None,
    overwrite: bool,
    report: Reporter,
) -> Receipt:
    """Rank scores without labels: a folder with a ranking and a report."""
    name = "stdin" if scores == "-" else Path(scores).name
    found = unlabelled.ranking_of(table, top, name, survey=survey, given=given, graded=graded)
    read, no_pictures = (None, "The scores name no cutouts, so there are no pictures.")
    if "cutout_path" in table.column_names:
        read, no_pictures = _cutout_reader(table, scores, root)
    with whole_folder(out_dir, "evaluate", overwrite) as part:
        pictures = ranking.write(found, part, read, no_pictures)
    report.say("the scores have no labels: they are ranked, and nothing can be said of recall or false positive rate")
    points = found.metrics["thresholds"]["points"]
    rows = [(point["name"], point["logit"], point["rows"]) for point in points]
    report.table("Rows above each threshold", ("threshold", "logit", "rows"), rows)
    counts = found.metrics["rows"]
    return {
        "command": "evaluate",
        "output": out_dir,
        "rows": table.num_rows,
        "unscored": counts["unscored"],
        "ranked": found.table.num_rows,
        "labels": False,
        "mock": found.metrics["mock"],
        "pictures": pictures,
    }


def _cutout_reader(table: pa.Table, scores: str, root: str | Path | None) -> tuple[Read | None, str]:
    """A function that reads cutouts by row; None and the reason if they cannot be found and no --root is given."""
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


def _show(metrics: Mapping[str, Any], report: Reporter) -> None:
    for level, judged in metrics["levels"].items():
        rows = []
        for row in judged["rows"]:
            interval = "" if row["low"] is None or row["high"] is None else f"{row['low']:.4f} to {row['high']:.4f}"
            remark = "; ".join(
                filter(None, (row["text"], row["why"], FEW_REMARK if row["few"] and row["limit"] else ""))
            )
            rows.append((row["criterion"], row["value"], interval, row["limit"], row["verdict"] or "reported", remark))
        title = f"Level {level}: {judged['verdict']}"
        report.table(title, ("criterion", "value", "95% CI", "limit", "verdict", "remark"), rows)
    for point in metrics["thresholds"]["points"]:
        if point["text"]:
            report.say(f"threshold {point['name']}: {point['text']}")


def _show_comparison(found: dict[str, Any], report: Reporter) -> None:
    rows = [
        (
            row["figure"],
            row["here"],
            row["there"],
            row["difference"],
            "" if row["low"] is None else f"{row['low']:.4f} to {row['high']:.4f}",
            row["p"],
            row["verdict"],
            row["why"] or (FEW_REMARK if row["few"] else ""),
        )
        for row in found["figures"]
    ]
    columns = ("metric", "here", "other", "difference", "paired 95% CI", "p", "here is", "remark")
    report.table(f"Compared with {found['name']}", columns, rows)
    report.say(against_.sentence(found))


def _show_negatives(found: dict[str, Any], report: Reporter) -> None:
    rows = []
    for at in found["recall_at_fpr"]:
        own = at["uniform"]
        graded = [] if at["as_graded"] is None else [at["as_graded"]["value"]]
        interval = "" if own["low"] is None else f"{own['low']:.4f} to {own['high']:.4f}"
        remark = own["why"] or (FEW_REMARK if own["few"] else "")
        rows.append((f"{at['fpr']:g}", own["value"], interval, *graded, at["stratified"]["value"], remark))
    graded_column = [] if found["graded_lenses"] is None else ["as graded"]
    columns = ("FPR", "recall", "95% CI", *graded_column, "stratified", "remark")
    report.table(f"On {found['rows']:,} uniform negatives of {found['name']}", columns, rows)
    report.say(found["note"])


def _show_grades(found: dict[str, Any], report: Reporter) -> None:
    rows = [(row["figure"], row["before"]["value"], row["after"]["value"]) for row in found["figures"]]
    report.table(f"With the grades of {found['name']}", ("metric", "as labelled", "as graded"), rows)
    out = found["left_out_of_test"]
    report.say(
        f"{found['among_scores']:,} of {found['graded']:,} graded galaxies are among the scores; as graded, test "
        f"excludes {out['others_that_are_lenses']:,} negatives graded as lenses and "
        f"{out['lenses_that_are_none']:,} lenses graded as non-lenses. {found['note']}"
    )
