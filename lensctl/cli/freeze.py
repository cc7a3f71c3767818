"""`lensctl freeze`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import set_openmp_wait_policy
from lensctl.cli.options import Overwrite, Root
from lensctl.cli.signing import Sign, private_key


@command("freeze", MODEL)
def freeze(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made by `lensctl train`.")],
    frozen_dir: Annotated[Path, typer.Argument(metavar="FROZEN_DIR", help="Folder to create.")],
    evaluation: Annotated[Path, typer.Option("--evaluation", metavar="DIR", help="Made by `lensctl evaluate`.")],
    gates: Annotated[
        list[Path],
        typer.Option("--gates", metavar="FILE", help="JSON lines from `lensctl gate`; repeat for several."),
    ],
    allow_failed: Annotated[
        str,
        typer.Option(
            "--allow-failed",
            metavar="REASON",
            help="Freeze despite failed or missing gates; the reason is recorded.",
            show_default=False,
        ),
    ] = "",
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="The training manifest: fail if it or any of its cutouts changed since training.",
            show_default=False,
        ),
    ] = None,
    root: Root = None,
    sign: Sign = None,
    citation: Annotated[
        Path | None,
        typer.Option(
            "--citation",
            metavar="FILE",
            help="CITATION.cff to keep in the folder: whom to cite, and the licence by its SPDX identifier.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        Path | None,
        typer.Option("--licence", metavar="FILE", help="Text of that licence, kept as LICENSE.", show_default=False),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            metavar="FILE",
            help="Also write the folder as one .tar.gz or .zip; needs --citation and --licence.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Freeze a model: weights, thresholds, evidence, provenance.

    Fails if the provenance from the pool to the evaluation has a gap, the evaluation is of other weights or another
    manifest, its thresholds were not chosen on validation, or one of the gates pool, splits, overlap, pixels,
    homogeneity, weights, shortcut and trained did not pass on exactly the data used for training and evaluation.

    Example: lensctl freeze run frozen --evaluation evaluation --gates gates.jsonl
    """
    set_openmp_wait_policy()
    from lensctl.freeze import freeze
    from lensctl.io.storage.atomic import refuse_existing

    for output in filter(None, (frozen_dir, archive)):
        refuse_existing(str(output), overwrite)  # before a passphrase is asked for
    report.receipt(
        **freeze(
            run_dir,
            frozen_dir,
            evaluation=evaluation,
            gates=gates,
            allow_failed=allow_failed,
            manifest=manifest,
            root=root,
            key=None if sign is None else private_key(sign),
            citation=citation,
            licence=licence,
            archive=archive,
            overwrite=overwrite,
            report=report,
        )
    )
