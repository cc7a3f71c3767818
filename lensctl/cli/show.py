"""`lensctl show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import LOOK, command
from lensctl.cli.options import Format, Overwrite, Root

if TYPE_CHECKING:
    from lensctl.show.description import Description

Texts = list[str]


@command("show", LOOK)
def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Any file or folder; - is a table on stdin.")],
    montage: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Also draw its cutouts here.", show_default=False)
    ] = None,
    where: Annotated[
        str, typer.Option(metavar="SQL", help="Only the rows that meet this condition.", show_default=False)
    ] = "",
    rows: Annotated[
        Texts,
        typer.Option(
            metavar="[HEADING: ]SQL",
            help="Montage: rows of cutouts that meet this condition; repeat for more rows.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    ids: Annotated[
        Texts, typer.Option(metavar="ID,ID", help="Montage: these galaxies; may be repeated.", show_default=False)
    ] = [],  # noqa: B006
    order: Annotated[
        str, typer.Option(metavar="SQL", help="Montage: order by this, such as 'logit DESC'.", show_default=False)
    ] = "",
    n: Annotated[int, typer.Option("--n", min=1, help="Montage: cutouts, or cutouts for each --rows.")] = 24,
    columns: Annotated[
        int | None, typer.Option(min=1, help="Montage: cutouts side by side; 8 if not given.", show_default=False)
    ] = None,
    label: Annotated[
        Texts, typer.Option(metavar="COLUMN", help="Montage: write this below each cutout; '' for nothing.")
    ] = ["galaxy_id"],  # noqa: B006
    head: Annotated[int, typer.Option(min=0, help="Rows of a table to show.")] = 3,
    root: Root = None,
    json: Annotated[bool, typer.Option("--json", help="Everything as one line of JSON, nothing for people.")] = False,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Say what a file is and how it came about; draw cutouts.

    Tables, cutout stores, single cutouts, runs, evaluations, frozen models, gate lines, mock skies, FITS files; of
    anything else, what can be said. Cutouts of a manifest or of scores are found as `train` finds them.

    Example: lensctl show manifest.parquet --montage lenses.png --rows "lenses: label = 1" --rows "others: label = 0"
    """
    from lensctl.rules.errors import InputError
    from lensctl.show.identify import identify

    if montage is None and (rows or ids or order):
        raise InputError("--rows, --ids and --order choose cutouts to draw", "add --montage OUT.png")
    if montage is not None and file == "-":
        raise InputError("cutouts are not drawn from a pipe", "write the table to a file first")
    if montage is not None:
        from lensctl.io.storage.atomic import refuse_existing

        refuse_existing(montage, overwrite)
    facts = identify(file, head=head, where="" if montage else where, format=format)
    drawn: dict[str, object] = {}
    if montage is not None:
        from lensctl.io.storage.atomic import whole_file
        from lensctl.show import montage as cutouts

        wanted = [id for text in ids for id in text.split(",") if id]
        source = cutouts.open_source(file, str(root) if root else None)
        bands = cutouts.choose(
            source, rows, n, where=where, ids=wanted, order=order, label=[name for name in label if name]
        )
        picture = cutouts.draw(bands, columns)
        with whole_file(montage, overwrite) as part:
            part.write_bytes(picture)
        drawn = {"montage": str(montage), "cutouts": sum(len(band.images) for band in bands)}
    if not json:
        _display(file, facts)
    said = facts.as_json()
    few = said if json else {name: said[name] for name in ("kind", *facts.figures)}
    report.receipt("show", "stdin" if file == "-" else file, **few, **drawn)


def _display(file: str, facts: Description) -> None:
    """Everything for people."""
    from lensctl.show.description import chain_lines

    report.say(f"{'stdin' if file == '-' else file}: {facts.kind}")
    figures = {name: _text(value) for name, value in facts.figures.items() if value not in (None, "", [])}
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        report.say(f"  {name:{width}}  {value}")
    for listing in facts.listings:
        if listing.rows:
            report.table(listing.title, listing.columns, listing.rows)
    if facts.chain:
        report.say("How it came about, the last step first")
        for line in chain_lines(facts.chain):
            report.say(f"  {line}")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
