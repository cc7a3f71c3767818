"""`lensctl manifest`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import TABLES, command
from lensctl.cli.options import Format, Output, Overwrite, Root, Survey


@command("manifest", TABLES)
def manifest(
    output: Output,
    positives: Annotated[tuple[str, str], typer.Option(metavar="TABLE STORE", help="Positives and their cutouts.")],
    negatives: Annotated[tuple[str, str], typer.Option(metavar="TABLE STORE", help="Negatives and their cutouts.")],
    keep_unstratified: Annotated[
        bool,
        typer.Option(
            "--keep-unstratified", help="Keep positives without negatives of their type and bin of exposures."
        ),
    ] = False,
    survey: Survey = None,
    root: Root = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    r"""Join positives, negatives and cutouts into a manifest.

    STORE is a cutout store or a folder of .npz files. If two cutouts of different splits overlap, the negative is left
    out; so are positives of a stratum without negatives. Both are counted.

    Example: lensctl manifest manifest.parquet \
        --positives positives.parquet positives.zarr --negatives negatives.parquet negatives.zarr
    """
    from pathlib import Path

    from lensctl.io.cutouts.by_manifest import listing
    from lensctl.io.provenance import digests
    from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, stamp, step_input
    from lensctl.io.storage.atomic import refuse_existing
    from lensctl.io.storage.s3 import is_s3
    from lensctl.io.tables.files import read_table, write_table
    from lensctl.manifest import manifest
    from lensctl.rules.errors import InputError

    refuse_existing(output, overwrite)
    if root is None and (output == "-" or is_s3(output)):
        raise InputError("a manifest on stdout or S3 has no folder for relative paths", "add --root FOLDER")
    folder = root or Path(output).absolute().parent
    tables, listings, chains, inputs = [], [], [], []
    for role, (table_path, store_path) in (("positives", positives), ("negatives", negatives)):
        table = read_table(table_path)
        cutouts = listing(store_path, folder)
        tables.append(table)
        listings.append(cutouts)
        chain = chain_of(table, table_path)
        chains += [chain, cutouts.chain]
        inputs.append(step_input(role, table_path, digests.of_table(table), chain))
        inputs.append(step_input(f"{role} cutouts", store_path, cutouts.digest, cutouts.chain))
    of = common_survey(survey, *chains)
    joined = manifest(
        tables[0],
        listings[0].rows,
        tables[1],
        listings[1].rows,
        survey=of,
        keep_unstratified=keep_unstratified,
        size_arcsec=max(cutouts.size_px for cutouts in listings) * of.pixel_scale_arcsec,
    )
    for reason, count in sorted(joined.left_out.items()):
        report.say(f"left out: {count:,} {reason}")
    step = Step("manifest", {"keep_unstratified": keep_unstratified}, tuple(inputs), survey=of)
    write_table(stamp(joined.rows, extend(step, *chains)), output, overwrite=overwrite, format=format)
    labels = joined.rows["label"].to_pylist()
    report.receipt(
        "manifest",
        output,
        rows=len(labels),
        positives=sum(labels),
        negatives=len(labels) - sum(labels),
        left_out=sum(joined.left_out.values()),
        cutouts_not_ok=joined.rows["cutout_ok"].to_pylist().count(False),
    )
