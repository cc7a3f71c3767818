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
    from lensctl.rules.errors import InputError
    from lensctl.show.identify import identify

    if montage is None and (rows or ids or order):
        raise InputError("--rows, --ids and --order select cutouts to draw", "add --montage OUT.png")
    if montage is not None and file == "-":
        raise InputError("cutouts cannot be drawn from a pipe", "write the table to a file first")
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
        strips = cutouts.choose(
            source, rows, n, where=where, ids=wanted, order=order, label=[name for name in label if name]
        )
        picture = cutouts.draw(strips, columns)
        with whole_file(montage, overwrite) as part:
            part.write_bytes(picture)
        drawn = {"montage": str(montage), "cutouts": sum(len(strip.images) for strip in strips)}
    if not json:
        _display(file, facts)
    values = facts.as_json()
    shown = values if json else {name: values[name] for name in ("kind", *facts.values)}
    report.receipt("show", "stdin" if file == "-" else file, **shown, **drawn)


def _display(file: str, facts: Description) -> None:
    """Print the description for people."""
    from lensctl.show.description import chain_lines

    report.say(f"{'stdin' if file == '-' else file}: {facts.kind}")
    texts = {name: _text(value) for name, value in facts.values.items() if value not in (None, "", [])}
    width = max(map(len, texts), default=0)
    for name, value in texts.items():
        report.say(f"  {name:{width}}  {value}")
    for listing in facts.listings:
        if listing.rows:
            report.table(listing.title, listing.columns, listing.rows)
    if facts.chain:
        report.say("Provenance, last step first")
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
