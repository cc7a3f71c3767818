"""`lensctl cutout`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
from lensctl.cli.options import Format, Overwrite, Workers

if TYPE_CHECKING:
    from lensctl.cutout import MadeStore
    from lensctl.io.cutouts.layout import Layout
    from lensctl.io.cutouts.store import Store
    from lensctl.io.imaging.source import CutoutSource
    from lensctl.io.provenance.steps import Chain

PUBLIC_VIEWER = "https://www.legacysurvey.org/viewer"


@command("cutout", PIXELS)
def cutout(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Objects: galaxy_id, ra, dec; - is stdin.")],
    store: Annotated[str, typer.Argument(metavar="STORE", help="Cutout store to make: a folder, or s3://.")],
    source: Annotated[
        str | None,
        typer.Option(help="viewer or coadd; coadd where --root is given, else viewer.", show_default=False),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            help="Coadds: what holds coadd/, south/coadd/, or the files; a folder, s3:// or http(s)://.",
            show_default=False,
        ),
    ] = None,
    planes: Annotated[
        str,
        typer.Option(help="Coadds: further arrays to cut, of invvar,maskbits,psfsize.", show_default=False),
    ] = "",
    url: Annotated[str, typer.Option(help="Viewer: base address of the cutout service.")] = PUBLIC_VIEWER,
    layer: Annotated[
        str | None,
        typer.Option(help="Viewer: ls-dr10 if not given. Coadds: flag other releases.", show_default=False),
    ] = None,
    size: Annotated[int, typer.Option(help="Side of a cutout in pixels.")] = 101,
    pixscale: Annotated[float, typer.Option(help="Viewer: arcsec per pixel.")] = 0.262,
    connections: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Viewer: requests per second at most.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds for one answer.")] = 60.0,
    tries: Annotated[int, typer.Option(min=1, help="Requests for one thing at most; S3 decides for itself.")] = 6,
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
    part: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Make the Kth of N parts of the store only.", show_default=False),
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Finish the store that --part runs have made.")] = False,
    engine: Annotated[str, typer.Option(help="local, or spark: shards are made by its executors.")] = "local",
    survey_bricks: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Table of bricks, for --dry-run to count rows outside.", show_default=False),
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
    import contextlib

    from lensctl.cutout import ahead, checked
    from lensctl.cutout import cutout as cut
    from lensctl.io.cutouts.layout import Layout
    from lensctl.io.imaging.bricks import read_bricks
    from lensctl.io.imaging.source import BEFORE
    from lensctl.io.provenance import digests
    from lensctl.io.provenance.steps import Step, chain_of, extend, step_input
    from lensctl.io.tables.files import read_table
    from lensctl.rules.errors import InputError
    from lensctl.rules.quality import OK

    of = _part(part, finish=finish, engine=engine, npz=npz, overwrite=overwrite)
    source = source or ("coadd" if root else "viewer")
    if source not in ("coadd", "viewer"):
        raise InputError(f"no source '{source}'", "use viewer or coadd")
    objects = read_table(table, format=format)
    rows = checked(objects, "stdin" if table == "-" else table)
    more = tuple({"psf": "psfsize"}.get(name, name) for name in planes.replace(" ", "").split(",") if name)
    if more and source != "coadd":
        raise InputError("the cutout service has no further planes", "leave out --planes, or give --root of coadds")
    layout = Layout(rows.num_rows, size, shard_rows=shard_rows, codec=codec, planes=tuple(dict.fromkeys(more)))
    chain = chain_of(objects, table)
    inputs = [step_input("table", table, digests.of_table(objects), chain)]
    parameters: dict[str, Any] = {"source": source, "size": size, "bands": layout.bands, "layer": layer}
    limits: dict[str, Any] = {"connections": connections, "timeout": timeout, "tries": tries}
    pixels: CutoutSource
    if source == "coadd":
        pixels, known = _coadds(root, layout, layer, workers, limits)
        parameters |= {"root": known[0], **({"planes": list(layout.planes)} if layout.planes else {})}
        inputs += known[1]
        chains = (chain, *known[2])
    else:
        asked = {"layer": layer or "ls-dr10", "pixscale": pixscale, "allow_release": allow_release}
        parameters |= {"url": url.rstrip("/"), **asked}
        limits |= {"rate": rate, "patience": patience}
        pixels = _viewer(url, size, layout.bands, asked, limits)
        chains = (chain,)
    parameters |= {"shard_rows": shard_rows, "codec": codec}
    step = Step("cutout", parameters, tuple(inputs))
    whole = extend(step, *chains)
    if dry_run:
        counts: dict[str, Any] = dict(
            ahead(rows, pixels, layout, read_bricks(survey_bricks) if survey_bricks else None)
        )
        if source == "viewer":
            counts["hours"] = round(rows.num_rows / (rate or 20.0 * connections) / 3600, 2)
        report.table("Ahead", ("", "count"), counts.items())
        report.receipt("cutout", store, dry_run=True, **counts)
        return
    with contextlib.ExitStack() as held:
        how: dict[str, Any] = {"overwrite": overwrite, "part": of, "make": not finish}
        if engine == "spark":
            from lensctl.io.tables.spark import Cluster

            cluster = held.enter_context(Cluster())
            cluster.refuse_unseen(store)
            how["each"] = cluster.each
        shown = held.enter_context(report.progress("cutouts", rows.num_rows))
        failed: Counter[str] = Counter()

        def advance(statuses: Counter[str]) -> None:
            failed.update({status: n for status, n in statuses.items() if status not in (OK, BEFORE)})
            shown(statuses.total(), ", ".join(f"{n:,} {status}" for status, n in failed.most_common()))

        made = cut(rows, store, pixels, layout, whole, **how, advance=advance)
    if made.store is None:
        report.say(f"part {part} of {store} is made; when all are, give the same command with --finish for --part")
    elif made.cut == 0 and not finish:
        report.say(f"{store} was made by this very command: nothing to do")
    files = _npz(made.store, npz, whole, workers, overwrite) if npz and made.store else None
    _judge(made, store, max_failed if source == "viewer" else 1.0)
    facts = {"rows": rows.num_rows, "cut": made.cut, "status": dict(sorted(made.statuses.items()))}
    facts |= {"part": part} if part else {}
    report.receipt("cutout", store, **facts, **({"npz": files} if npz else {}))


def _part(part: str | None, *, finish: bool, engine: str, npz: str | None, overwrite: bool) -> tuple[int, int] | None:
    """K and N of --part K/N; InputError where it is none, or does not go with the other options."""
    import re

    from lensctl.rules.errors import InputError

    if engine not in ("local", "spark"):
        raise InputError(f"no engine '{engine}'", "use local or spark")
    if part is None:
        return None
    if finish or engine == "spark" or npz or overwrite:
        raise InputError(
            "--part goes without --finish, --npz, --overwrite and --engine spark",
            "make the parts, then give the command with --finish (and --npz) for --part",
        )
    found = re.fullmatch(r"(\d+)/(\d+)", part)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"'{part}' is no part", "write it as K/N, such as 1/8 to 8/8")
    return int(found[1]), int(found[2])


def _coadds(
    root: str | None, layout: Layout, layer: str | None, workers: int | None, limits: dict[str, Any]
) -> tuple[CutoutSource, tuple[str, list[Any], list[Chain]]]:
    """Brick coadds as a source, with the root's name, and the root as an input where it says how it was made."""
    from lensctl.io.imaging.coadds import CoaddSource
    from lensctl.rules.errors import InputError

    if root is None:
        raise InputError("coadds are where?", "add --root FOLDER, the one that holds coadd/")
    source = CoaddSource(root, layout.size, layout.bands, layer, workers, layout.planes, **limits)
    opened = source.open()
    origin = opened.origin()
    known = ([origin[0]], [origin[1]]) if origin else ([], [])
    return source, (opened.name, *known)


def _viewer(url: str, size: int, bands: str, asked: dict[str, Any], limits: dict[str, Any]) -> CutoutSource:
    """The cutout service as a source, with the clock and the chance that verbs do not have."""
    import random
    import time
    from datetime import UTC, datetime

    from lensctl.io.imaging.backoff import Pace
    from lensctl.io.imaging.viewer import ViewerSource
    from lensctl.io.imaging.viewer_response import Asked
    from lensctl.io.storage.retry import RetryPolicy

    retry = RetryPolicy(limits["tries"])
    pace = Pace(time.monotonic, random.random, rate=limits["rate"], retry=retry, patience=limits["patience"])
    what = Asked.of(url, size, bands, **asked)
    own = {name: limits[name] for name in ("connections", "timeout")}
    return ViewerSource(what, pace, lambda: datetime.now(UTC), **own)


def _npz(store: Store, folder: str, chain: Chain, workers: int | None, overwrite: bool) -> int:
    from lensctl.io.cutouts import npz_folder

    with report.progress(".npz files", store.n) as advance:
        return npz_folder.write(store, folder, chain, processes=workers, overwrite=overwrite, advance=advance)


def _judge(made: MadeStore, store: str, max_failed: float) -> None:
    """Say what became of the rows; an error where too many have no pixels."""
    from lensctl.rules.errors import LensctlError

    rows = sum(made.statuses.values())
    if len(made.statuses) > 1 or "ok" not in made.statuses:
        shares = [(status, count, count / rows) for status, count in made.statuses.most_common()]
        report.table("Cutouts", ("status", "rows", "share"), shares)
    if made.without_pixels > max_failed * rows:
        raise LensctlError(
            f"{made.without_pixels} of {rows} cutouts failed, more than --max-failed {max_failed:g}",
            f"see status and error in {store}/index.parquet; the same command tries again what may pass",
        )
