"""`lensctl selection apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.options import Format, Output, Overwrite
from lensctl.cli.selection_group import group


@command("apply", MODEL, group)
def apply(
    selection_dir: Annotated[Path, typer.Argument(metavar="SELECTION_DIR", help="Made by `lensctl selection fit`.")],
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Lenses with the axes of p_det; - is stdin.")],
    output: Output,
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Which threshold, such as fpr=0.001, if there are several.", show_default=False
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(metavar="A,B,…", help="Columns whose distribution is shown, of all lenses and of the found ones."),
    ] = "",
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="Give p_det outside the support of the injections too.")
    ] = False,
    min_neff: Annotated[
        float, typer.Option("--min-neff", min=1, help="Least effective number of hosts behind a completeness.")
    ] = 200.0,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Add p_det to a table of lenses, and say which share of them the model finds.

    Adds p_det, p_low, p_high, p_sys and inside; p_det is null outside the support of the injections. The completeness
    is averaged by `weight` (1 each without it), once over p_det and once over the injections themselves; there is a
    reason in its place where fewer hosts than --min-neff stand behind it, or more than 5 % of the weight lies outside.
    With a column logit, follow_up is the order in which to follow up: by logit within bands of p_det, bands in turn.

    Example: lensctl selection apply selection lenses.parquet detected.parquet --by theta_e,mag_z --min-neff 30
    """
    from lensctl.selection import apply

    report.receipt(
        **apply(
            selection_dir,
            table,
            output,
            threshold=threshold,
            by=tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip())),
            extrapolate=extrapolate,
            min_neff=min_neff,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
