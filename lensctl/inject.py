"""`lensctl inject`: lensed sources into the cutouts of hosts, with the noise, PSF and gain that the pixels have."""

from __future__ import annotations

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
from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.imaging.making import checked, make, part_of
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, common_survey, extend, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
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


def inject(
    hosts: str | Path,
    store: str | Path,
    output: str | Path,
    *,
    per_host: int = 5,
    control: str | None = None,
    vary: str | None = None,
    seed: int = 42,
    psf: str = "moffat",
    psf_beta: float = 2.5,
    noise: str = "resampled",
    gain: str = "measured",
    source_model: str = "mixed",
    stamps: str | Path | None = None,
    design: str | Path | None = None,
    survey: Survey | str | None = None,
    shard_rows: int = 512,
    part: str | None = None,
    finish: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Add lensed sources to the cutouts of galaxies that could be lenses.

    Parameters
    ----------
    hosts, store, output : path
        Table of the hosts, `-` is stdin; the store of their cutouts, best with invvar; the store to make.
    per_host : int
        Injections of each host, rows `{galaxy_id}#{k}`.
    control, vary : str, optional
        One of `variations.CONTROLS`, and of `variations.VARIATIONS`.
    psf : str
        moffat, of the hosts' psfsize; planes, of the store's psfsize; or an .npz file with galaxy_id and psf.
    psf_beta : float
        Of the Moffat.
    noise : str
        One of `injector.NOISES`: photon noise of the arcs, shared by neighbours as in the store, independent, or none.
    gain : str
        measured, nominal, or a YAML file with electrons per nanomaggy of each band.
    source_model : str
        One of `drawing.MODELS`; `stamps` needs images.
    design : path, optional
        YAML file of the design, as far as it differs from the default.
    shard_rows, part, finish, workers
        As of `cutout`.
    dry_run : bool
        Make nothing; the receipt has rows, bytes and the hours of one core, by the speed of the first rows.

    Returns
    -------
    Receipt
        With rows, hosts, their statuses, gain and its source in each band, and the digest of the design.

    Raises
    ------
    InputError
        Bad options; hosts without psfsize or fluxes, or missing in the store; cutouts of several sources, or smaller
        than 64 px; no gain; a store of another job.
    """
    hosts, store, output = str(hosts), str(store), str(output)
    of_part = None if part is None else part_of(part)
    settings = _settings(per_host, seed, psf_beta, noise, source_model, stamps, control, vary, design)
    table = read_table(hosts, format=format)
    opened = open_store(store)
    of = common_survey(survey, chain_of(table, hosts), opened.chain)
    where = "stdin" if hosts == "-" else hosts
    table = checked(table, where, of)
    _refuse_unfit(opened, of)
    places = _places(table, opened, where)
    table = targets.checked(_with_psfsize(table, opened, places, of) if psf == "planes" else table, where, of)
    sampled = targets.order_of(table["galaxy_id"].to_pylist(), seed)[:SAMPLED_HOSTS]
    found, variance = _noise_of(table, opened, places[sampled], of, gain)
    for remark in found.remarks:
        report.say(f"gain in {remark}")
    offsets = opened.columns("offset_x_px", "offset_y_px").take(places)
    centre = np.stack([np.asarray(offsets[name].to_numpy(), np.float64) for name in offsets.column_names], axis=1)
    kernels = read_psfs(psf, len(of.bands)) if psf not in ("moffat", "planes") else None
    aims = targets.targets_of(table, centre, of, seed, kernels)
    images = read_stamps(stamps) if stamps is not None else None
    source = Injections(store, places, aims, variance, table, settings, of, found, images, workers)
    rows = rows_of(table, per_host)
    planes = ("invvar", ARCS) if "invvar" in opened.layout.planes else (ARCS,)
    layout = Layout(rows.num_rows, opened.size, of.bands, shard_rows, opened.layout.codec, planes)
    counts = {"rows": rows.num_rows, "hosts": table.num_rows}
    if dry_run:
        counts["bytes"] = rows.num_rows * opened.size**2 * len(of.bands) * 4 * (2 if "invvar" in planes else 1)
        hours = rows.num_rows * _seconds_of_one(source, opened, rows) / 3600
        report.table("Work to do, on one core", ("", "count"), [*counts.items(), ("hours", round(hours, 2))])
        return {"command": "inject", "output": output, "dry_run": True, **counts, "hours": round(hours, 3)}
    parameters: dict[str, Any] = {
        "per_host": per_host,
        "seed": seed,
        "psf": psf,
        "psf_beta": psf_beta,
        "noise": noise,
        "gain": gain,
        "source_model": source_model,
        "control": control,
        "vary": vary,
        "design": settings.design.as_dict(),
        "shard_rows": shard_rows,
    }
    inputs = (
        step_input("hosts", hosts, digests.of_table(table), chain_of(table, hosts)),
        step_input("cutouts", store, opened.digest, opened.chain),
    )
    chain = extend(Step("inject", parameters, inputs, survey=of), chain_of(table, hosts), opened.chain)
    with report.progress("injections", rows.num_rows) as advance:
        made = make(
            rows,
            output,
            source,
            layout,
            chain,
            overwrite=overwrite,
            part=of_part,
            make_shards=not finish,
            advance=lambda statuses: advance(statuses.total()),
        )
    if made.store is None:
        report.say(f"part {part} of {output} is done; when all are, run the command with --finish instead of --part")
    elif made.cut == 0 and not finish:
        report.say(f"{output} is up to date: nothing to do")
    return {
        "command": "inject",
        "output": output,
        **counts,
        "cut": made.cut,
        "status": dict(sorted(made.statuses.items())),
        "sky_nanomaggy": {band: round(float(s), 4) for band, s in zip(of.bands, found.sky, strict=True)},
        "gain_source": dict(zip(of.bands, found.source, strict=True)),
        "design": settings.design.digest(),
        **({"part": part} if part else {}),
    }


def _settings(
    per_host: int,
    seed: int,
    psf_beta: float,
    noise: str,
    model: str,
    stamps: str | Path | None,
    control: str | None,
    vary: str | None,
    design: str | Path | None,
) -> Settings:
    """The settings, checked before anything is read."""
    refuse_unknown(control, vary)
    for value, known, option in ((noise, NOISES, "--noise"), (model, MODELS, "--source-model")):
        if value not in known:
            raise InputError(f"{option} '{value}' does not exist", f"use {', '.join(known)}")
    if (model == "stamps") != (stamps is not None):
        raise InputError("--source-model stamps and --stamps FILE belong together", "give both or neither")
    if per_host < 1:
        raise InputError(f"{per_host} injections a host are none", "give --per-host 1 or more")
    if not 1.5 <= psf_beta <= 10:
        raise InputError(f"a Moffat of beta {psf_beta:g} is no PSF", "give --psf-beta between 1.5 and 10")
    return Settings(seed, read_design(design), model, psf_beta, noise, control, vary)


def _seconds_of_one(source: Injections, store: Store, rows: pa.Table) -> float:
    """Seconds that one injection takes here, by the first of them: all but writing them."""
    host, k = (rows[name].slice(0, TIMED_ROWS).to_numpy() for name in (HOST_ROW, NUMBER))
    next(source.injected(store, host, k))  # what is made once is made now
    begun = CLOCK.now()
    for done in source.injected(store, host, k):
        quality.measure(done.image[None], store.bands)
        quality.fingerprints(done.image[None])
    return (CLOCK.now() - begun) / len(host)


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
    """Row of each host in the store; InputError if one is missing."""
    at = {id: row for row, id in enumerate(store.columns("galaxy_id")["galaxy_id"].to_pylist())}
    ids = hosts["galaxy_id"].to_pylist()
    missing = [id for id in ids if id not in at]
    if missing:
        raise InputError(
            f"{store.path}: {len(missing)} of {len(ids)} hosts of {where} have no cutout, such as {missing[0]}",
            "make the store of this table",
        )
    return np.array([at[id] for id in ids], np.int64)


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
