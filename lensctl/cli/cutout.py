"""`lensctl cutout`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
from lensctl.cli.options import MOST_AT_ONCE, Format, MaxEmpty, Overwrite, Survey, Workers
from lensctl.rules.acceptance import MAX_EMPTY


@command("cutout", PIXELS)
def cutout(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Objects: galaxy_id, ra, dec; - is stdin.")],
    store: Annotated[str, typer.Argument(metavar="STORE", help="Cutout store to write: a folder, or s3://.")],
    source: Annotated[
        str | None,
        typer.Option(help="viewer, coadd or fits; default coadd if --root is given, else viewer.", show_default=False),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            help="Coadds: folder, s3:// or http(s):// that holds coadd/, south/coadd/, or the files. A password or "
            "token in the address is sent, never recorded. FITS cutouts: their folder.",
            show_default=False,
        ),
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(
            help="FITS cutouts: name of a galaxy's file, with {galaxy_id} and, for a file a band, {band}; default "
            "'{galaxy_id}.fits'.",
            show_default=False,
        ),
    ] = None,
    zero_point: Annotated[
        str | None,
        typer.Option(
            metavar="MAG",
            help="FITS cutouts: AB magnitude of one count, such as 27 or g=27,r=27.1; default from BUNIT.",
            show_default=False,
        ),
    ] = None,
    planes: Annotated[
        str,
        typer.Option(help="Coadds: additional planes, from invvar,maskbits,psfsize.", show_default=False),
    ] = "",
    url: Annotated[
        str | None,
        typer.Option(
            help="Viewer: address of the cutout service, with or without /viewer; default "
            "https://www.legacysurvey.org/viewer. A password or token in it is sent, and never recorded.",
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Viewer: layer; default: the survey's. Coadds: flag other releases.", show_default=False),
    ] = None,
    survey: Survey = None,
    size: Annotated[
        int | None,
        typer.Option(help="Side of a cutout in pixels; default the survey's.", show_default=False),
    ] = None,
    pixscale: Annotated[
        float | None, typer.Option(help="Viewer: arcsec per pixel; default the survey's.", show_default=False)
    ] = None,
    connections: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, help="Concurrent requests.")] = 8,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Viewer: maximum requests per second.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds to wait for a response.")] = 60.0,
    tries: Annotated[int, typer.Option(min=1, help="Maximum attempts per request; not used for S3.")] = 6,
    patience: Annotated[float, typer.Option(min=0, help="Viewer: seconds to wait for a service that is down.")] = 300.0,
    max_failed: Annotated[
        float, typer.Option(min=0, max=1, help="Maximum fraction of rows without pixels; with more, exit code 2.")
    ] = 0.01,
    max_empty: MaxEmpty = MAX_EMPTY,
    allow_release: Annotated[
        bool, typer.Option("--allow-release", help="Viewer: accept a release other than the layer's.")
    ] = False,
    shard_rows: Annotated[int, typer.Option(help="Cutouts per file of the store.")] = 1024,
    codec: Annotated[str, typer.Option(help="Compression: none, lz4 or zstd.")] = "none",
    npz: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also write one .npz per galaxy here.", show_default=False)
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Make only part K of N of the store.", show_default=False),
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Close the store after all --part runs.")] = False,
    engine: Annotated[str, typer.Option(help="local, or spark to make shards on its executors.")] = "local",
    survey_bricks: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Brick table; --dry-run counts rows outside it.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show what would be done, and how long it would take at a rate measured on some cutouts."
        ),
    ] = False,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Cut images of the galaxies in a table into a store.

    From the Legacy Surveys' cutout service, from brick coadds, or from FITS cutouts that you have.

    Failed rows are kept and flagged with the reason. Rerun the command to resume, or to retry rows that failed
    transiently (service down, file not there yet).

    Example: lensctl cutout positives.parquet positives.zarr --source coadd --root sky
    """
    from lensctl.cutout import cutout

    report.receipt(
        **cutout(
            table,
            store,
            source=source,
            root=root,
            files=files,
            zero_point=zero_point,
            planes=planes,
            url=url,
            layer=layer,
            survey=survey,
            size=size,
            pixscale=pixscale,
            connections=connections,
            rate=rate,
            timeout=timeout,
            tries=tries,
            patience=patience,
            max_failed=max_failed,
            max_empty=max_empty,
            allow_release=allow_release,
            shard_rows=shard_rows,
            codec=codec,
            npz=npz,
            part=part,
            finish=finish,
            engine=engine,
            survey_bricks=survey_bricks,
            dry_run=dry_run,
            workers=workers,
            format=format,
            overwrite=overwrite,
            report=report,
        )
    )
