"""`lensctl freeze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import be_a_good_neighbour
from lensctl.cli.options import Overwrite


@command("freeze", MODEL)
def freeze(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made by `lensctl train`.")],
    frozen_dir: Annotated[Path, typer.Argument(metavar="FROZEN_DIR", help="Folder to make.")],
    evaluation: Annotated[Path, typer.Option("--evaluation", metavar="DIR", help="Made by `lensctl evaluate`.")],
    gates: Annotated[
        list[Path],
        typer.Option("--gates", metavar="FILE", help="Lines that `lensctl gate` wrote; repeat for several."),
    ],
    allow_failed: Annotated[
        str,
        typer.Option(
            "--allow-failed",
            metavar="REASON",
            help="Freeze in spite of gates that failed or are missing; the reason is recorded.",
            show_default=False,
        ),
    ] = "",
    overwrite: Overwrite = False,
) -> None:
    """Freeze a model: weights, thresholds, evidence and proof.

    Refused where the provenance from the pool to the evaluation has a gap, the evaluation is of other weights or
    another manifest, or one of the gates pool, splits, overlap, pixels, homogeneity, weights, shortcut and trained did
    not pass on the very data that were trained and evaluated on.

    Example: lensctl freeze run frozen --evaluation evaluation --gates gates.jsonl
    """
    be_a_good_neighbour()
    from lensctl.doors.whole import refuse_existing, whole_folder
    from lensctl.freeze import freeze as frozen_from

    refuse_existing(frozen_dir, overwrite)
    with whole_folder(frozen_dir, overwrite) as part:
        made = frozen_from(run_dir, evaluation, gates, part, allow_failed=allow_failed)
    if made.mock:
        report.say("the model was trained on a mock survey, and its README says so")
    for problem in made.allowed:
        report.say(f"let pass: {problem}")
    report.receipt(
        "freeze",
        str(frozen_dir),
        model_digest=made.model_digest,
        members=made.members,
        golden=made.golden,
        gates_let_pass=len(made.allowed),
        mock=made.mock,
    )
