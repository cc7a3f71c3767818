"""`lensctl show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import LOOK, command
from lensctl.cli.options import Format, Overwrite, Root

Texts = list[str]


@command("show", LOOK)
def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Any file or folder; - is a table on stdin.")],
    montage: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Also draw the cutouts to this file.", show_default=False)
    ] = None,
    where: Annotated[
        str, typer.Option(metavar="SQL", help="Only rows that meet this condition.", show_default=False)
    ] = "",
    rows: Annotated[
        Texts,
        typer.Option(
            metavar="[HEADING: ]SQL",
            help="Montage: a row of cutouts that meet this condition; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    ids: Annotated[
        Texts, typer.Option(metavar="ID,ID", help="Montage: these galaxies; repeatable.", show_default=False)
    ] = [],  # noqa: B006
    order: Annotated[
        str, typer.Option(metavar="SQL", help="Montage: sort order, such as 'logit DESC'.", show_default=False)
    ] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="Montage: number of cutouts, or per --rows.")] = 24,
    columns: Annotated[
        int | None, typer.Option(min=1, help="Montage: cutouts per line; default 8.", show_default=False)
    ] = None,
    label: Annotated[
        Texts, typer.Option(metavar="COLUMN", help="Montage: column to write below each cutout; '' for none.")
    ] = ["galaxy_id"],  # noqa: B006
    head: Annotated[int, typer.Option(min=0, help="Rows of a table to show.")] = 3,
    root: Root = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON line only.")] = False,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Describe a file and its provenance; draw cutouts.

    Recognises tables, cutout stores, single cutouts, runs, evaluations, frozen models, gate results, mock skies and
    FITS files; other files are described briefly. Cutouts of a manifest or score table are found as `train` finds them.

    Example: lensctl show manifest.parquet --montage lenses.png --rows "lenses: label = 1" --rows "others: label = 0"
    """
    from lensctl.show import show

    report.receipt(
        **show(
            file,
            montage=montage,
            where=where,
            rows=rows,
            ids=ids,
            order=order,
            n=n,
            columns=columns,
            label=label,
            head=head,
            root=root,
            everything=json,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
