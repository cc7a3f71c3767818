"""Options that several commands share: one name, one type, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.rules.survey import BUILT_IN

Output = Annotated[str, typer.Argument(metavar="OUTPUT", help="Table to write; - is stdout.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same output.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="parquet, arrow, csv, ndjson, fits, vot or reg; by default from the file name.",
        show_default=False,
    ),
]
MOST_AT_ONCE = 4096
"""Threads or processes of one command."""

Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=MOST_AT_ONCE, help="Processes; default one per core.", show_default=False),
]
CheckPixels = Annotated[
    bool,
    typer.Option(
        "--check-pixels/--no-check-pixels", help="Compare pixels with the SHA-256 recorded when they were made."
    ),
]
MaxEmpty = Annotated[
    float,
    typer.Option(
        "--max-empty",
        min=0,
        max=1,
        help="Maximum fraction of pixels that are exactly 0 or NaN, in any band of the central 64 px of 101 (the same "
        "fraction of larger sizes); a cutout with more is half_empty, and not used.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--root", help="Folder that cutout_path is relative to; default the manifest's folder.", show_default=False
    ),
]
Survey = Annotated[
    str | None,
    typer.Option(
        "--survey",
        metavar="NAME",
        help=f"Survey of inputs that do not record theirs: {', '.join(BUILT_IN)}, or a .yaml file; default the first.",
        show_default=False,
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="PUB",
        help="Public key (PEM) of the signer; a model that its private key did not sign is refused.",
        show_default=False,
    ),
]
Lenses = Annotated[
    list[str],
    typer.Option(
        "--lenses", metavar="CATALOG", help="Lens catalogue to stay away from; repeatable.", show_default=False
    ),
]
CATALOGUES = (
    "Sweep or Tractor files, FITS or parquet: paths, globs, s3:// or https://. A web server lists no files: name each, "
    "or a list of checksums (.sha256sum) beside them."
)
Downloads = Annotated[
    str | None,
    typer.Option(
        "--downloads",
        metavar="DIR",
        help="Keep catalogues from https:// in this folder, and do not fetch again what is there.",
        show_default=False,
    ),
]
