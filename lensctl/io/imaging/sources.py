"""Sources of cutouts by name, and how each is opened from the options of a run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lensctl.io import workers
from lensctl.io.cutouts.layout import Layout
from lensctl.io.imaging.bricks import release_of_layer
from lensctl.io.imaging.source import CutoutSource
from lensctl.io.provenance.steps import Chain, Input
from lensctl.io.storage.atomic import local_folder
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

PUBLIC_VIEWER = "https://www.legacysurvey.org/viewer"


@dataclass(frozen=True)
class SourceOptions:
    """Options of all sources; each uses its own.

    Parameters
    ----------
    root : str, optional
        Of coadds: folder, `s3://` or `http(s)://`. Of FITS cutouts: folder.
    files : str, optional
        Of FITS cutouts: see `FitsSource`.
    zero_point : str, optional
        Of FITS cutouts: AB magnitude of one count, of all bands or each.
    url : str
        Of the cutout service.
    layer : str, optional
        Of the cutout service, default the survey's; coadds of another release are flagged.
    pixel_scale_arcsec : float, optional
        Asked of the cutout service; default the survey's.
    connections, rate, timeout, tries, patience
        Concurrent requests; requests a second; seconds per response; attempts per request; seconds to wait for a
        service that is down.
    allow_release : bool
        Accept a release other than the layer's.
    workers : int, optional
        Processes.
    max_empty : float
        Greatest fraction of empty inner pixels in any band of a usable cutout.
    """

    root: str | None = None
    files: str | None = None
    zero_point: str | None = None
    url: str = PUBLIC_VIEWER
    layer: str | None = None
    pixel_scale_arcsec: float | None = None
    connections: int = 8
    rate: float | None = None
    timeout: float = 60.0
    tries: int = 6
    patience: float = 300.0
    allow_release: bool = False
    workers: int | None = None
    max_empty: float = MAX_EMPTY


@dataclass(frozen=True)
class OpenedSource:
    """A source ready to cut.

    Parameters
    ----------
    source : CutoutSource
    parameters : mapping
        What a step records of it.
    inputs, chains
        Its provenance, if it has any.
    processes : int
        That cut at the same time.
    fastest : float, optional
        Greatest number of rows a second that its options allow.
    """

    source: CutoutSource
    parameters: Mapping[str, Any]
    inputs: tuple[Input, ...] = ()
    chains: tuple[Chain, ...] = ()
    processes: int = 1
    fastest: float | None = None


def _coadd(options: SourceOptions, layout: Layout, survey: Survey) -> OpenedSource:
    """Brick coadds."""
    from lensctl.io.imaging.coadds import CoaddSource

    if options.root is None:
        raise InputError("no folder of coadds is given", "add --root FOLDER, the one that holds coadd/")
    if options.layer and release_of_layer(options.layer) is None:
        raise InputError(
            f"--layer {options.layer} names no release, by which coadds are told apart",
            f"name one, such as {LS_DR10.layer}, or leave out --layer",
        )
    source = CoaddSource(
        options.root,
        layout.size,
        survey,
        options.layer,
        options.workers,
        layout.planes,
        connections=options.connections,
        timeout=options.timeout,
        tries=options.tries,
        max_empty=options.max_empty,
    )
    opened = source.open()
    origin = opened.origin()
    planes = {"planes": list(layout.planes)} if layout.planes else {}
    inputs, chains = ((origin[0],), (origin[1],)) if origin else ((), ())
    return OpenedSource(source, {"root": opened.name, **planes}, inputs, chains, options.workers or workers.cores())


def _viewer(options: SourceOptions, layout: Layout, survey: Survey) -> OpenedSource:
    """The cutout service, with a clock and random numbers."""
    from lensctl.io.imaging.viewer import ViewerSource
    from lensctl.io.imaging.viewer_response import CutoutRequest
    from lensctl.io.storage.backoff import Pace
    from lensctl.io.storage.retry import RetryPolicy

    if layout.planes:
        raise InputError("the cutout service only has images", "leave out --planes, or use coadds with --root")
    asked = {
        "layer": options.layer or survey.layer,
        "pixscale": options.pixel_scale_arcsec or survey.pixel_scale_arcsec,
        "allow_release": options.allow_release,
    }
    retry = RetryPolicy(options.tries)
    pace = Pace(time.monotonic, random.random, rate=options.rate, retry=retry, patience=options.patience)
    request = CutoutRequest.of(options.url, layout.size, survey, **asked)  # type: ignore[arg-type]
    source = ViewerSource(
        request, pace, lambda: datetime.now(UTC), options.connections, options.timeout, options.max_empty
    )
    parameters = {"url": request.url, **asked}
    return OpenedSource(source, parameters, fastest=options.rate)


def _fits(options: SourceOptions, layout: Layout, survey: Survey) -> OpenedSource:
    """FITS cutouts that somebody else has made."""
    from lensctl.io.cutouts.fits_file import FitsForm, zero_points_of
    from lensctl.io.imaging.fits_cutouts import NAMES, FitsSource

    if options.root is None:
        raise InputError("no folder of FITS cutouts is given", "add --root FOLDER, the one that holds the files")
    if layout.planes:
        raise InputError("FITS cutouts are read for their images alone", "leave out --planes")
    points = None if options.zero_point is None else zero_points_of(options.zero_point, survey.bands)
    form = FitsForm(survey, layout.size, points)
    folder = local_folder(options.root, "FITS cutouts are read from")
    source = FitsSource(str(folder), form, options.files or NAMES, options.workers, options.max_empty)
    return OpenedSource(source, {"root": folder.absolute().name, "files": source.names, "zero_point": points})


SOURCES: Mapping[str, Callable[[SourceOptions, Layout, Survey], OpenedSource]] = {
    "viewer": _viewer,
    "coadd": _coadd,
    "fits": _fits,
}


def open_source(name: str, options: SourceOptions, layout: Layout, survey: Survey) -> OpenedSource:
    """Open a source by name; InputError for an unknown name, or options it cannot use."""
    if name not in SOURCES:
        raise InputError(f"no source '{name}'{nearest(name, SOURCES)}", f"use {', '.join(SOURCES)}")
    if name != "fits" and (options.files or options.zero_point):
        raise InputError("--files and --zero-point are of FITS cutouts", "add --source fits, or leave them out")
    return SOURCES[name](options, layout, survey)
