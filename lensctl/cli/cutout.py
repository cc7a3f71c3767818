"""`lensctl cutout`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
from lensctl.cli.options import Format, Overwrite, Workers

if TYPE_CHECKING:
    from lensctl.cutout import Made
    from lensctl.doors.cutting import Source
    from lensctl.doors.provenance import Chain
    from lensctl.doors.store import Store

PUBLIC_VIEWER = "https://www.legacysurvey.org/viewer"


@command("cutout", PIXELS)
def cutout(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Objects: galaxy_id, ra, dec; - is stdin.")],
    store: Annotated[str, typer.Argument(metavar="STORE", help="Cutout store (a folder) to make.")],
    source: Annotated[
        str | None,
        typer.Option(help="viewer or coadd; coadd where --root is given, else viewer.", show_default=False),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(help="Coadds: folder that holds coadd/, south/coadd/, or the files.", show_default=False),
    ] = None,
    url: Annotated[str, typer.Option(help="Viewer: base address of the cutout service.")] = PUBLIC_VIEWER,
    layer: Annotated[
        str | None,
        typer.Option(help="Viewer: ls-dr10 if not given. Coadds: flag other releases.", show_default=False),
    ] = None,
    size: Annotated[int, typer.Option(help="Side of a cutout in pixels.")] = 101,
    pixscale: Annotated[float, typer.Option(help="Viewer: arcsec per pixel.")] = 0.262,
    connections: Annotated[int, typer.Option(min=1, help="Viewer: requests at once.")] = 8,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Viewer: requests per second at most.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.01, help="Viewer: seconds for one answer.")] = 60.0,
    tries: Annotated[int, typer.Option(min=1, help="Viewer: requests for one cutout at most.")] = 6,
    patience: Annotated[float, typer.Option(min=0, help="Viewer: seconds to wait for a service that is down.")] = 300.0,
    max_failed: Annotated[
        float, typer.Option(min=0, max=1, help="Viewer: largest share of rows without pixels.")
    ] = 0.01,
    allow_release: Annotated[
        bool, typer.Option("--allow-release", help="Viewer: take another release than the layer's.")
    ] = False,
    shard_rows: Annotated[int, typer.Option(help="Cutouts in one file of the store.")] = 1024,
    codec: Annotated[str, typer.Option(help="none, lz4 or zstd.")] = "none",
    npz: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also write one .npz per galaxy here.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is ahead, and stop.")] = False,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Cut the galaxies of a table into a store of pixels.

    What fails is flagged with the reason, never left out. The same command again goes on where it was, takes up what
    failed for a passing reason (service down, file not there yet), or finds nothing to do.

    Example: lensctl cutout positives.parquet positives.zarr --source coadd --root sky
    """
    from lensctl.cutout import ahead, checked
    from lensctl.cutout import cutout as cut
    from lensctl.doors import digests, provenance, tables
    from lensctl.doors.store_layout import Layout
    from lensctl.words.errors import InputError

    source = source or ("coadd" if root else "viewer")
    if source not in ("coadd", "viewer"):
        raise InputError(f"no source '{source}'", "use viewer or coadd")
    objects = tables.read(table, format=format)
    rows = checked(objects, "stdin" if table == "-" else table)
    lies = Layout(rows.num_rows, size, shard_rows=shard_rows, codec=codec)
    chain = provenance.chain_of(objects, table)
    inputs = [provenance.source("table", table, digests.of_table(objects), chain)]
    parameters: dict[str, Any] = {"source": source, "size": size, "bands": lies.bands, "layer": layer}
    pixels: Source
    if source == "coadd":
        pixels, known = _coadds(root, size, lies.bands, layer, workers)
        parameters |= {"root": known[0]}
        inputs += known[1]
        chains = (chain, *known[2])
    else:
        asked = {"layer": layer or "ls-dr10", "pixscale": pixscale, "allow_release": allow_release}
        parameters |= {"url": url.rstrip("/"), **asked}
        limits = {"connections": connections, "rate": rate, "timeout": timeout, "tries": tries, "patience": patience}
        pixels = _viewer(url, size, lies.bands, asked, limits)
        chains = (chain,)
    parameters |= {"shard_rows": shard_rows, "codec": codec}
    step = provenance.Step("cutout", parameters, tuple(inputs))
    whole = provenance.extend(step, *chains)
    if dry_run:
        counts = ahead(rows, pixels, lies)
        if source == "viewer":
            counts["hours"] = round(rows.num_rows / (rate or 20.0 * connections) / 3600, 2)
        report.table("Ahead", ("", "count"), counts.items())
        report.receipt("cutout", store, dry_run=True, **counts)
        return
    with report.progress("cutouts", rows.num_rows) as advance:
        made = cut(rows, store, pixels, lies, whole, overwrite=overwrite, advance=advance)
    if made.cut == 0:
        report.say(f"{store} was made by this very command: nothing to do")
    files = _npz(made.store, npz, whole, workers, overwrite) if npz else None
    _judge(made, max_failed if source == "viewer" else 1.0)
    facts = {"rows": rows.num_rows, "cut": made.cut, "status": dict(sorted(made.statuses.items()))}
    report.receipt("cutout", store, **facts, **({"npz": files} if npz else {}))


def _coadds(
    root: str | None, size: int, bands: str, layer: str | None, workers: int | None
) -> tuple[Source, tuple[str, list[Any], list[Chain]]]:
    """Brick coadds as a source, with the root's name, and the root as an input where it says how it was made."""
    from pathlib import Path

    from lensctl.doors.bricks import Disk
    from lensctl.doors.coadd import CoaddSource
    from lensctl.words.errors import InputError

    if root is None:
        raise InputError("coadds are where?", "add --root FOLDER, the one that holds coadd/")
    origin = Disk(root).origin()
    known = ([origin[0]], [origin[1]]) if origin else ([], [])
    return CoaddSource(root, size, bands, layer, workers), (Path(root).absolute().name, *known)


def _viewer(url: str, size: int, bands: str, asked: dict[str, Any], limits: dict[str, Any]) -> Source:
    """The cutout service as a source, with the clock and the chance that verbs do not have."""
    import random
    import time
    from datetime import UTC, datetime

    from lensctl.doors.pacing import Pace
    from lensctl.doors.viewer import ViewerSource
    from lensctl.doors.viewer_answer import Asked

    pace = Pace(time.monotonic, random.random, rate=limits["rate"], patience=limits["patience"])
    what = Asked.of(url, size, bands, **asked)
    own = {name: limits[name] for name in ("connections", "timeout", "tries")}
    return ViewerSource(what, pace, lambda: datetime.now(UTC), **own)


def _npz(store: Store, folder: str, chain: Chain, workers: int | None, overwrite: bool) -> int:
    from lensctl.doors import npz_folder

    with report.progress(".npz files", store.n) as advance:
        return npz_folder.write(store, folder, chain, processes=workers, overwrite=overwrite, advance=advance)


def _judge(made: Made, max_failed: float) -> None:
    """Say what became of the rows; an error where too many have no pixels."""
    from lensctl.words.errors import LensctlError

    rows = sum(made.statuses.values())
    if len(made.statuses) > 1 or "ok" not in made.statuses:
        shares = [(status, count, count / rows) for status, count in made.statuses.most_common()]
        report.table("Cutouts", ("status", "rows", "share"), shares)
    if made.without_pixels > max_failed * rows:
        raise LensctlError(
            f"{made.without_pixels} of {rows} cutouts failed, more than --max-failed {max_failed:g}",
            f"see status and error in {made.store.path}/index.parquet; the same command tries again what may pass",
        )
