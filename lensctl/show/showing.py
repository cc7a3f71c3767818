"""What a file is, told to people and as a receipt; and a picture of its cutouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import refuse_existing, whole_file
from lensctl.rules.errors import InputError
from lensctl.show import montage as cutouts
from lensctl.show.description import Description, chain_lines, in_words
from lensctl.show.identify import identify


def show(
    file: str | Path,
    *,
    montage: str | Path | None = None,
    where: str = "",
    rows: Sequence[str] = (),
    ids: Sequence[str] = (),
    order: str = "",
    n: int = 24,
    columns: int | None = None,
    label: Sequence[str] = ("galaxy_id",),
    head: int = 3,
    root: str | Path | None = None,
    everything: bool = True,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Describe a file and its provenance; draw cutouts.

    Parameters
    ----------
    file : path
        Any file, folder, glob, `s3://`, or `-`.
    montage : path, optional
        Draw cutouts to this PNG file.
    where, rows, ids, order, n, columns, label
        Which cutouts, and how: see `montage.choose` and `montage.draw`.
    head : int
        Rows of a table to show.
    root : path, optional
        What `cutout_path` is relative to.
    everything : bool
        All of the description in the receipt; otherwise single values, and the rest to people.
    format : str, optional
        Table format; by default from the file name.

    Returns
    -------
    Receipt
        With the kind of the file, and what is known of it.

    Raises
    ------
    InputError
        No such file, or an incomplete one; nothing to draw; the picture exists, or is not named .png.
    """
    path = str(file)
    if montage is None and (rows or ids or order):
        raise InputError("--rows, --ids and --order select cutouts to draw", "add --montage OUT.png")
    if montage is not None and path == "-":
        raise InputError("cutouts cannot be drawn from a pipe", "write the table to a file first")
    if montage is not None and Path(montage).suffix.lower() != ".png":
        raise InputError(f"{montage}: a montage is written as PNG", "name it OUT.png, and convert that")
    if montage is not None:
        refuse_existing(montage, overwrite)
    found = identify(path, head=head, where="" if montage else where, format=format)
    drawn: dict[str, Any] = {}
    if montage is not None:
        wanted = [id for text in ids for id in text.split(",") if id]
        source = cutouts.open_source(path, None if root is None else str(root))
        strips = cutouts.choose(
            source, rows, n, where=where, ids=wanted, order=order, label=[name for name in label if name]
        )
        picture = cutouts.draw(strips, columns)
        with whole_file(montage, overwrite) as part:
            part.write_bytes(picture)
        drawn = {"montage": str(montage), "cutouts": sum(len(strip.images) for strip in strips)}
    name = "stdin" if path == "-" else path
    values = found.as_json()
    if not everything:
        _tell(name, found, report)
        values = {key: values[key] for key in ("kind", *found.values)}
    return {"command": "show", "output": name, **values, **drawn}


def _tell(name: str, found: Description, report: Reporter) -> None:
    """Print the description for people."""
    report.say(f"{name}: {found.kind}")
    report.table(
        "", ("", ""), [(key, _text(value)) for key, value in found.values.items() if value not in (None, "", [])]
    )
    for listing in found.listings:
        if listing.rows:
            report.table(listing.title, listing.columns, listing.rows)
    if found.chain:
        report.say("Provenance, last step first")
        for line in chain_lines(found.chain):
            report.say(f"  {line}")


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else in_words(value)
