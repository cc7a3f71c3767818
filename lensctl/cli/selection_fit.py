"""`lensctl selection fit`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.options import Key, Overwrite, Seed
from lensctl.cli.selection_group import group


@command("fit", MODEL, group)
def fit(
    tables: Annotated[list[str], typer.Argument(metavar="TABLE...", help="Scored injections; one or more.")],
    out_dir: Annotated[str, typer.Argument(metavar="OUT_DIR", help="Folder to create.", show_default=False)],
    hosts: Annotated[
        str, typer.Option("--hosts", metavar="TABLE", help="Scores of the hosts without an arc.", show_default=False)
    ],
    frozen: Annotated[str, typer.Option("--frozen", metavar="FROZEN", help="The frozen model.", show_default=False)],
    key: Key = None,
    real: Annotated[
        str | None,
        typer.Option(
            "--real",
            metavar="TABLE",
            help="Observed scores; their lenses of the test split are for closure.",
            show_default=False,
        ),
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="TABLE", help="Injections of a control; repeatable.", show_default=False),
    ] = None,
    control_hosts: Annotated[
        str | None,
        typer.Option(
            "--control-hosts",
            metavar="TABLE",
            help="Scores of the hosts of control wrong-host without an arc; needed with it.",
            show_default=False,
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", metavar="TABLE", help="Injections of a variation; repeatable.", show_default=False),
    ] = None,
    positives: Annotated[
        str | None,
        typer.Option(
            "--positives",
            metavar="TABLE",
            help="Known lenses with catalogue columns: which share the pool's criteria let through.",
            show_default=False,
        ),
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="MANIFEST",
            help="Manifest of the model's training: galaxies of its train and val are refused as hosts by id too.",
            show_default=False,
        ),
    ] = None,
    cutouts: Annotated[
        str | None,
        typer.Option(
            "--cutouts",
            metavar="STORE",
            help="Injections of the tables, by `lensctl inject`, for pictures in the report.",
            show_default=False,
        ),
    ] = None,
    population: Annotated[
        str | None,
        typer.Option(
            "--population",
            metavar="TABLE",
            help="Lenses as nature has them, in which the report seeks failure modes.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            metavar="NAME",
            help="Frozen threshold, such as fpr=0.001; repeatable; default all that have a value.",
            show_default=False,
        ),
    ] = None,
    exploratory: Annotated[
        bool, typer.Option("--exploratory", help="Allow --threshold logit=X; marks every output.")
    ] = False,
    rounds: Annotated[int, typer.Option("--rounds", min=100, max=100_000, help="Draws over HEALPix pixels.")] = 500,
    seed: Seed = 42,
    overwrite: Overwrite = False,
) -> None:
    """Fit p_det, the probability that a lens is found, to injections.

    Detected is a logit at or above a threshold of the frozen model; each has a fit. Hosts that are above it without an
    arc are left out and counted. p_det is a function of radius, magnitude and magnification of the arcs, seeing,
    depth, the galaxy and the source, with 95 % intervals over HEALPix pixels and its support. OUT_DIR gets
    selection.json, report.html, tables/, plots/ with maps as FITS too, and evaluate.py with golden.csv for those who
    have no lensctl. Controls say which detections need no arc, variations how far assumptions of the injection move
    p_det, real test lenses whether it holds.

    Example: lensctl selection fit injections.parquet selection --hosts hosts.scores.parquet --frozen frozen
    """
    from lensctl.selection import fit

    made = fit(
        tables,
        out_dir,
        hosts=hosts,
        frozen=frozen,
        key=key,
        real=real,
        control=control or (),
        control_hosts=control_hosts,
        vary=vary or (),
        positives=positives,
        manifest=manifest,
        cutouts=cutouts,
        population=population,
        threshold=threshold or (),
        exploratory=exploratory,
        rounds=rounds,
        seed=seed,
        overwrite=overwrite,
        report=report,
    )
    report.receipt(**made)
