"""`lensctl cutout`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import PIXELS, command
from lensctl.cli.options import Format, Overwrite, Survey, Workers

if TYPE_CHECKING:
    from lensctl.cutout import MadeStore
    from lensctl.io.cutouts.layout import Layout
    from lensctl.io.cutouts.store import Store
    from lensctl.io.imaging.source import CutoutSource
    from lensctl.io.provenance.steps import Chain
    from lensctl.rules.survey import Survey as SurveyValue

PUBLIC_VIEWER = "https://www.legacysurvey.org/viewer"


@command("cutout", PIXELS)
def cutout(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Objects: galaxy_id, ra, dec; - is stdin.")],
    store: Annotated[str, typer.Argument(metavar="STORE", help="Cutout store to write: a folder, or s3://.")],
    source: Annotated[
        str | None,
        typer.Option(help="viewer or coadd; default coadd if --root is given, else viewer.", show_default=False),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            help="Coadds: folder, s3:// or http(s):// that holds coadd/, south/coadd/, or the files.",
            show_default=False,
        ),
    ] = None,
    planes: Annotated[
        str,
        typer.Option(help="Coadds: additional planes, from invvar,maskbits,psfsize.", show_default=False),
    ] = "",
    url: Annotated[str, typer.Option(help="Viewer: base address of the cutout service.")] = PUBLIC_VIEWER,
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
    connections: Annotated[int, typer.Option(min=1, help="Concurrent requests.")] = 8,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Viewer: maximum requests per second.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds to wait for a response.")] = 60.0,
    tries: Annotated[int, typer.Option(min=1, help="Maximum attempts per request; not used for S3.")] = 6,
    patience: Annotated[float, typer.Option(min=0, help="Viewer: seconds to wait for a service that is down.")] = 300.0,
    max_failed: Annotated[
        float, typer.Option(min=0, max=1, help="Viewer: maximum fraction of rows without pixels.")
    ] = 0.01,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    workers: Workers = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Cut images of the galaxies in a table into a store.

    Failed rows are kept and flagged with the reason. Rerun the command to resume, or to retry rows that failed
    transiently (service down, file not there yet).

    Example: lensctl cutout positives.parquet positives.zarr --source coadd --root sky
    """
    import contextlib

    from lensctl.cutout import ahead, checked
    from lensctl.cutout import cutout as cut
    from lensctl.io.cutouts.layout import Layout
    from lensctl.io.imaging.bricks import read_bricks
    from lensctl.io.imaging.source import BEFORE
    from lensctl.io.provenance import digests
    from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, step_input
    from lensctl.io.tables.files import read_table
    from lensctl.rules.errors import InputError
    from lensctl.rules.quality import OK

    of = _part(part, finish=finish, engine=engine, npz=npz, overwrite=overwrite)
    source = source or ("coadd" if root else "viewer")
    if source not in ("coadd", "viewer"):
        raise InputError(f"no source '{source}'", "use viewer or coadd")
    objects = read_table(table, format=format)
    chain = chain_of(objects, table)
    of_survey = common_survey(survey, chain)
    size = of_survey.cutout_size_px if size is None else size
    rows = checked(objects, "stdin" if table == "-" else table, of_survey)
    extra = tuple({"psf": "psfsize"}.get(name, name) for name in planes.replace(" ", "").split(",") if name)
    if extra and source != "coadd":
        raise InputError("the cutout service only has images", "leave out --planes, or use coadds with --root")
    layout = Layout(rows.num_rows, size, of_survey.bands, shard_rows, codec, tuple(dict.fromkeys(extra)))
    inputs = [step_input("table", table, digests.of_table(objects), chain)]
    parameters: dict[str, Any] = {"source": source, "size": size, "bands": list(layout.bands), "layer": layer}
    limits: dict[str, Any] = {"connections": connections, "timeout": timeout, "tries": tries}
    pixels: CutoutSource
    if source == "coadd":
        pixels, known = _coadds(root, layout, of_survey, layer, workers, limits)
        parameters |= {"root": known[0], **({"planes": list(layout.planes)} if layout.planes else {})}
        inputs += known[1]
        chains = (chain, *known[2])
    else:
        scale = of_survey.pixel_scale_arcsec if pixscale is None else pixscale
        asked = {"layer": layer or of_survey.layer, "pixscale": scale, "allow_release": allow_release}
        parameters |= {"url": url.rstrip("/"), **asked}
        limits |= {"rate": rate, "patience": patience}
        pixels = _viewer(url, size, of_survey, asked, limits)
        chains = (chain,)
    parameters |= {"shard_rows": shard_rows, "codec": codec}
    step = Step("cutout", parameters, tuple(inputs), survey=of_survey)
    whole = extend(step, *chains)
    if dry_run:
        counts: dict[str, Any] = dict(
            ahead(rows, pixels, layout, read_bricks(survey_bricks) if survey_bricks else None)
        )
        if source == "viewer":
            counts["hours"] = round(rows.num_rows / (rate or 20.0 * connections) / 3600, 2)
        report.table("Work to do", ("", "count"), counts.items())
        report.receipt("cutout", store, dry_run=True, **counts)
        return
    with contextlib.ExitStack() as stack:
        mode: dict[str, Any] = {"overwrite": overwrite, "part": of, "make": not finish}
        if engine == "spark":
            from lensctl.io.tables.spark import Cluster

            cluster = stack.enter_context(Cluster())
            cluster.refuse_unseen(store)
            mode["each"] = cluster.each
        show = stack.enter_context(report.progress("cutouts", rows.num_rows))
        failed: Counter[str] = Counter()

        def advance(statuses: Counter[str]) -> None:
            failed.update({status: n for status, n in statuses.items() if status not in (OK, BEFORE)})
            show(statuses.total(), ", ".join(f"{n:,} {status}" for status, n in failed.most_common()))

        result = cut(rows, store, pixels, layout, whole, **mode, advance=advance)
    if result.store is None:
        report.say(f"part {part} of {store} is done; when all are, run the command with --finish instead of --part")
    elif result.cut == 0 and not finish:
        report.say(f"{store} is up to date: nothing to do")
    files = _npz(result.store, npz, whole, workers, overwrite) if npz and result.store else None
    _judge(result, store, max_failed if source == "viewer" else 1.0)
    facts = {"rows": rows.num_rows, "cut": result.cut, "status": dict(sorted(result.statuses.items()))}
    facts |= {"part": part} if part else {}
    report.receipt("cutout", store, **facts, **({"npz": files} if npz else {}))


def _part(part: str | None, *, finish: bool, engine: str, npz: str | None, overwrite: bool) -> tuple[int, int] | None:
    """K and N of --part K/N; InputError if malformed or incompatible with other options."""
    import re

    from lensctl.rules.errors import InputError

    if engine not in ("local", "spark"):
        raise InputError(f"no engine '{engine}'", "use local or spark")
    if part is None:
        return None
    if finish or engine == "spark" or npz or overwrite:
        raise InputError(
            "--part cannot be combined with --finish, --npz, --overwrite or --engine spark",
            "make the parts, then run the command with --finish (and --npz) instead of --part",
        )
    found = re.fullmatch(r"(\d+)/(\d+)", part)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"'{part}' is not a part", "write it as K/N, such as 1/8 to 8/8")
    return int(found[1]), int(found[2])


def _coadds(
    root: str | None,
    layout: Layout,
    survey: SurveyValue,
    layer: str | None,
    workers: int | None,
    limits: dict[str, Any],
) -> tuple[CutoutSource, tuple[str, list[Any], list[Chain]]]:
    """Brick coadds as a source, with the name of the root, and its provenance if it has any."""
    from lensctl.io.imaging.coadds import CoaddSource
    from lensctl.rules.errors import InputError

    if root is None:
        raise InputError("no folder of coadds is given", "add --root FOLDER, the one that holds coadd/")
    source = CoaddSource(root, layout.size, survey, layer, workers, layout.planes, **limits)
    opened = source.open()
    origin = opened.origin()
    known = ([origin[0]], [origin[1]]) if origin else ([], [])
    return source, (opened.name, *known)


def _viewer(url: str, size: int, survey: SurveyValue, asked: dict[str, Any], limits: dict[str, Any]) -> CutoutSource:
    """The cutout service as a source, with a clock and random numbers."""
    import random
    import time
    from datetime import UTC, datetime

    from lensctl.io.imaging.backoff import Pace
    from lensctl.io.imaging.viewer import ViewerSource
    from lensctl.io.imaging.viewer_response import CutoutRequest
    from lensctl.io.storage.retry import RetryPolicy

    retry = RetryPolicy(limits["tries"])
    pace = Pace(time.monotonic, random.random, rate=limits["rate"], retry=retry, patience=limits["patience"])
    what = CutoutRequest.of(url, size, survey, **asked)
    own = {name: limits[name] for name in ("connections", "timeout")}
    return ViewerSource(what, pace, lambda: datetime.now(UTC), **own)


def _npz(store: Store, folder: str, chain: Chain, workers: int | None, overwrite: bool) -> int:
    from lensctl.io.cutouts import npz_folder

    with report.progress(".npz files", store.n) as advance:
        return npz_folder.write(store, folder, chain, processes=workers, overwrite=overwrite, advance=advance)


def _judge(result: MadeStore, store: str, max_failed: float) -> None:
    """Report the statuses of the rows; LensctlError if too many have no pixels."""
    from lensctl.rules.errors import LensctlError

    rows = sum(result.statuses.values())
    if len(result.statuses) > 1 or "ok" not in result.statuses:
        fractions = [(status, count, count / rows) for status, count in result.statuses.most_common()]
        report.table("Cutouts", ("status", "rows", "fraction"), fractions)
    if result.without_pixels > max_failed * rows:
        raise LensctlError(
            f"{result.without_pixels} of {rows} cutouts failed, more than --max-failed {max_failed:g}",
            f"see status and error in {store}/index.parquet; rerun the command to retry transient failures",
        )
