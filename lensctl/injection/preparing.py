"""Before an injection: options, hosts and the pixels they have are checked, and their noise and gain measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro import moffat, photon_noise
from lensctl.injection import calibration, targets
from lensctl.injection.calibration import Calibration, calibrate
from lensctl.injection.design import read_design
from lensctl.injection.drawing import MODELS
from lensctl.injection.injector import NOISES, Settings
from lensctl.injection.into_cutouts import ARCS, HOST_ROW, NUMBER, Injections, rows_of
from lensctl.injection.psf_images import read_psfs
from lensctl.injection.stamps import read_stamps
from lensctl.injection.variations import refuse_unknown
from lensctl.io.clock import CLOCK
from lensctl.io.cutouts.by_manifest import refuse_other_places
from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.imaging.making import checked
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, chain_of, common_survey, step_input
from lensctl.io.tables.files import read_table
from lensctl.rules import quality
from lensctl.rules.config import read_config
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

LEAST_SIDE_PX = 64
SAMPLED_HOSTS = 128
"""Hosts from which gain and shared noise are measured, the first in MD5 order: those of any order of the table."""

TIMED_ROWS = 100
"""First injections that --dry-run makes and throws away, to say how long all will take."""


@dataclass(frozen=True)
class Options:
    """What a user says of injections; see `lensctl.inject.inject`."""

    per_host: int = 5
    control: str | None = None
    vary: str | None = None
    seed: int = 42
    psf: str = "moffat"
    psf_beta: float = 2.5
    noise: str = "resampled"
    gain: str = "measured"
    source_model: str = "mixed"
    stamps: str | Path | None = None
    design: str | Path | None = None

    def settings(self) -> Settings:
        """The settings, checked before anything else is read; InputError for what does not exist."""
        refuse_unknown(self.control, self.vary)
        for value, known, option in (
            (self.noise, NOISES, "--noise"),
            (self.source_model, MODELS, "--source-model"),
        ):
            if value not in known:
                raise InputError(f"{option} '{value}' does not exist", f"use {', '.join(known)}")
        if (self.source_model == "stamps") != (self.stamps is not None):
            raise InputError("--source-model stamps and --stamps FILE belong together", "give both or neither")
        if self.per_host < 1:
            raise InputError(f"{self.per_host} injections a host are none", "give --per-host 1 or more")
        if not 1.5 <= self.psf_beta <= 10:
            raise InputError(f"a Moffat of beta {self.psf_beta:g} is no PSF", "give --psf-beta between 1.5 and 10")
        design = read_design(self.design)
        return Settings(self.seed, design, self.source_model, self.psf_beta, self.noise, self.control, self.vary)

    def as_dict(self, settings: Settings) -> dict[str, Any]:
        """The parameters of a step."""
        named = ("per_host", "seed", "psf", "psf_beta", "noise", "gain", "source_model", "control", "vary")
        return {**{name: getattr(self, name) for name in named}, "design": settings.design.as_dict()}


@dataclass(frozen=True)
class Prepared:
    """Injections ready to be made.

    Parameters
    ----------
    source : Injections
    rows : pa.Table
        One row for each injection, as of `rows_of`.
    hosts : int
    inputs, chains
        Of the step that makes them: the table of hosts and the store of their cutouts.
    parameters : dict
        Of that step.
    store : Store
    """

    source: Injections
    rows: pa.Table
    hosts: int
    inputs: tuple[Input, Input]
    chains: tuple[Chain, Chain]
    parameters: dict[str, Any]
    store: Store

    @property
    def survey(self) -> Survey:
        """Of the hosts and their cutouts."""
        return self.source.survey

    def layout(self, shard_rows: int) -> Layout:
        """Layout of a store of them: with invvar where the hosts' has it, and the arcs alone."""
        of = self.store.layout
        planes = ("invvar", ARCS) if "invvar" in of.planes else (ARCS,)
        return Layout(self.rows.num_rows, self.store.size, self.survey.bands, shard_rows, of.codec, planes)

    def measured_hours(self) -> float:
        """Of one core, by the speed of the first injections here: all but writing them."""
        host, k = (self.rows[name].slice(0, TIMED_ROWS).to_numpy() for name in (HOST_ROW, NUMBER))
        next(self.source.injected(self.store, host, k))  # what is made once is made now
        begun = CLOCK.now()
        for done in self.source.injected(self.store, host, k):
            quality.measure(done.image[None], self.store.bands)
            quality.fingerprints(done.image[None])
        return float((CLOCK.now() - begun) / len(host) * self.rows.num_rows / 3600)

    def facts(self) -> dict[str, Any]:
        """What a receipt says of them."""
        bands, found = self.survey.bands, self.source.calibration
        return {
            "sky_nanomaggy": {band: round(float(s), 4) for band, s in zip(bands, found.sky, strict=True)},
            "gain_source": dict(zip(bands, found.source, strict=True)),
            "design": self.source.settings.design.digest(),
        }


def prepare(
    hosts: str,
    store: str,
    options: Options,
    *,
    survey: Survey | str | None = None,
    workers: int | None = None,
    format: str | None = None,
) -> Prepared:
    """Check hosts, cutouts and options, and measure noise and gain.

    Raises
    ------
    InputError
        As of `lensctl.inject.inject`.
    """
    settings = options.settings()
    table = read_table(hosts, format=format)
    opened = open_store(store)
    of = common_survey(survey, chain_of(table, hosts), opened.chain)
    where = "stdin" if hosts == "-" else hosts
    table = checked(table, where, of)
    _refuse_unfit(opened, of)
    places = _places(table, opened, where)
    table = targets.checked(_with_psfsize(table, opened, places, of) if options.psf == "planes" else table, where, of)
    chains = (chain_of(table, hosts), opened.chain)
    inputs = (
        step_input("hosts", hosts, digests.of_table(table), chains[0]),
        step_input("cutouts", store, opened.digest, opened.chain),
    )
    sampled = targets.order_of(table["galaxy_id"].to_pylist(), options.seed)[:SAMPLED_HOSTS]
    found, variance = _noise_of(table, opened, places[sampled], of, options.gain)
    offsets = opened.columns("offset_x_px", "offset_y_px").take(places)
    centre = np.stack([np.asarray(offsets[name].to_numpy(), np.float64) for name in offsets.column_names], axis=1)
    kernels = read_psfs(options.psf, len(of.bands)) if options.psf not in ("moffat", "planes") else None
    aims = targets.targets_of(table, centre, of, options.seed, kernels)
    images = read_stamps(options.stamps) if options.stamps is not None else None
    source = Injections(store, places, aims, variance, table, settings, of, found, images, workers)
    rows = rows_of(table, options.per_host)
    return Prepared(source, rows, table.num_rows, inputs, chains, options.as_dict(settings), opened)


def _refuse_unfit(store: Store, survey: Survey) -> None:
    """Raise InputError for cutouts of another survey's bands, of several sources, or too small to hold arcs."""
    store.refuse_other_survey()
    if store.bands != survey.bands:
        raise InputError(f"{store.path}: bands are {', '.join(store.bands)}", f"make it of {', '.join(survey.bands)}")
    if store.size < LEAST_SIDE_PX:
        raise InputError(
            f"{store.path}: cutouts of {store.size} px are too small for injection",
            f"make them of at least {LEAST_SIDE_PX} px",
        )
    known = store.columns("source", "layer", "pixel_scale_arcsec")
    for name in known.column_names:
        values = sorted({str(v) for v in known[name].to_pylist() if v is not None})
        if len(values) > 1:
            raise InputError(
                f"{store.path}: cutouts of several {name}s ({', '.join(values[:3])}): their noise differs",
                "make a store of each",
            )


def _places(hosts: pa.Table, store: Store, where: str) -> NDArray[np.int64]:
    """Row of each host in the store; InputError if one is missing, or its cutout lies elsewhere."""
    known = store.columns("galaxy_id", "ra", "dec")
    at = {id: row for row, id in enumerate(known["galaxy_id"].to_pylist())}
    ids = hosts["galaxy_id"].to_pylist()
    missing = [id for id in ids if id not in at]
    if missing:
        raise InputError(
            f"{store.path}: {len(missing)} of {len(ids)} hosts of {where} have no cutout, such as {missing[0]}",
            "make the store of this table",
        )
    places = np.array([at[id] for id in ids], np.int64)
    refuse_other_places(ids, hosts, known.take(places), f"{where} and {store.path}")
    return places


def _with_psfsize(hosts: pa.Table, store: Store, places: NDArray[np.int64], survey: Survey) -> pa.Table:
    """The hosts with psfsize as the planes of their cutouts have it in the middle."""
    import pyarrow as pa

    if "psfsize" not in store.layout.planes:
        raise InputError(f"{store.path} has no psfsize planes", "make it with --planes invvar,psfsize")
    middle = store.size // 2
    sizes = np.concatenate(
        [
            store.read_plane_rows("psfsize", places[start : start + SAMPLED_HOSTS])[:, middle, middle]
            for start in range(0, len(places), SAMPLED_HOSTS)
        ]
    )
    for b, band in enumerate(survey.bands):
        name = f"psfsize_{band}"
        column = pa.array(sizes[:, b], pa.float32())
        at = hosts.schema.get_field_index(name)
        hosts = hosts.set_column(at, name, column) if at >= 0 else hosts.append_column(name, column)
    return hosts


def _noise_of(
    hosts: pa.Table, store: Store, some: NDArray[np.int64], survey: Survey, gain: str
) -> tuple[Calibration, NDArray[np.float64]]:
    """Noise of some rows of the store; and (N, B) the variance of blank sky of each host, if its cutout is silent."""
    has = "invvar" in store.layout.planes
    images = store.read(some)
    invvar = store.read_plane_rows("invvar", some) if has else None
    masks = store.read_plane_rows("maskbits", some) if "maskbits" in store.layout.planes else None
    if invvar is not None and not (np.nan_to_num(invvar) > 0).any():
        raise InputError(f"{store.path}: invvar is nowhere above 0", "make the store again, from coadds with invvar")
    given = _gains_of_file(gain, survey) if gain not in (calibration.MEASURED, calibration.NOMINAL) else None
    found = calibrate(survey, images, invvar, masks, nominal=gain == calibration.NOMINAL, given=given)
    variance = np.stack([_of_catalogue(hosts, band, survey) for band in survey.bands], axis=1)
    if invvar is not None:
        usual = np.nanmedian(photon_noise.blank_variance(images, invvar), axis=0)
        variance = np.where(np.isfinite(variance), variance, usual)
    unknown = ~(variance > 0).all(axis=0)
    if unknown.any():
        band = survey.bands[int(np.argmax(unknown))]
        raise InputError(
            f"{store.path} has no invvar in {band}, and not all hosts a psfdepth_{band}: the noise is unknown",
            "make the store with --planes invvar",
        )
    return found, variance


def _of_catalogue(hosts: pa.Table, band: str, survey: Survey) -> NDArray[np.float64]:
    """Variance of blank sky by the catalogue: 1 / (psfdepth x noise-equivalent area); NaN where it says nothing."""
    if f"psfdepth_{band}" not in hosts.column_names:
        return np.full(hosts.num_rows, np.nan)
    depth = np.asarray(hosts[f"psfdepth_{band}"].to_numpy(), np.float64)
    area = [
        moffat.nea_of_psfsize_px(float(size), survey.pixel_scale_arcsec) for size in hosts[f"psfsize_{band}"].to_numpy()
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(depth > 0, 1 / (depth * np.array(area)), np.nan)


def _gains_of_file(path: str, survey: Survey) -> dict[str, float]:
    values = read_config(Path(path), survey.bands)
    wrong = [band for band in survey.bands if not isinstance(values.get(band), int | float) or not values[band] > 0]
    if wrong:
        raise InputError(
            f"{path}: no gain above 0 for {', '.join(wrong)}", "write BAND: electrons per nanomaggy, a line a band"
        )
    return {band: float(values[band]) for band in survey.bands}
