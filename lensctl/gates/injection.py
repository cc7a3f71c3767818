"""The injection gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro import photon_noise
from lensctl.gates.registry import gate, setting
from lensctl.injection.again import NEEDED, light_again
from lensctl.injection.calibration import MOST_FROM_NOMINAL
from lensctl.injection.design import Design, design_of
from lensctl.injection.injector import Injector, Settings
from lensctl.injection.into_cutouts import ARCS, ARCS_KEPT
from lensctl.io.cutouts.store import Store, open_store
from lensctl.rules import checks, quality, schema
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError
from lensctl.stats.intervals import Estimate, Z

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.gates.inputs import Inputs

    Floats = NDArray[np.float64]
    Columns = dict[str, NDArray[Any]]

GATE = "injection"
WITHOUT_LIGHT = ("null", "noise")
BLOCK_PX, SIGMAS = 8, 7.0
OUTER, MOST_OUTSIDE = 0.45, 0.3
"""Beyond this share of a cutout's side there is no arc; by how many sigma of sky rows of one host may differ there."""

FEWEST_PIXELS = 30


@dataclass(frozen=True)
class Limits:
    """Limits of the injection gate."""

    flux_error: float = setting(0.03, "greatest relative error of an arc's flux", least=0)
    shape_error: float = setting(0.01, "greatest difference from the arcs of the table, share of their peak", least=0)
    noise: tuple[float, float] = setting((0.9, 1.1), "variance of the added noise over arc/gain")
    gain_spread: float = setting(4.0, "greatest ratio of the 90th to the 10th percentile of the gain", least=1)
    least_p: float = setting(1e-4, "least probability of the draws under the design", least=0)


@gate(GATE, inputs="STORE", settings=Limits)
def injection(inputs: Inputs, limits: Limits) -> Iterator[Check]:
    """Injected cutouts hold what their table says: flux, PSF, noise and gain of the arcs, the design, and the hosts.

    Flux, PSF and noise are judged on the first 256 rows, whose arcs are kept; the rest on all. Noise is that of the
    differences between rows of one host, in which the host vanishes.
    """
    store = open_store(inputs.path)
    inputs.set_digest(store.digest)
    step = store.chain[-1] if store.chain else None
    if step is None or step.command != "inject" or ARCS not in store.layout.planes:
        raise InputError(f"{store.path}: not made by `lensctl inject`", "name a store that it made")
    bands, index = store.survey.bands, store.index
    names = [f"{name}_{band}" for name in ("arc_mag", "psfsize", "gain", "lensed_mag") for band in bands]
    schema.require(index, "host_id", "k", "gain_source", "design_digest", *NEEDED, *names, where=store.path)
    ok = np.isin(np.array(index["status"].to_pylist(), str), quality.WITH_PIXELS)
    yield checks.some(GATE, "injections", int(ok.sum()))
    if not ok.any():
        return
    table = {name: np.array(index[name].to_pylist()) for name in index.column_names}
    design = design_of(step.parameters["design"], store.path)
    options = Settings(
        design=design, noise=step.parameters["noise"], control=step.parameters["control"], vary=step.parameters["vary"]
    )
    yield from _coverage(table, design, options, store, limits)
    yield from _gains(table, store, ok, limits)
    yield from _arcs(table, store, ok, options, str(step.parameters["psf"]), limits)
    yield from _hosts(table, store, ok, options)


def _coverage(table: Columns, design: Design, options: Settings, store: Store, limits: Limits) -> Iterator[Check]:
    """The draws are those of the design that was stated, and every source has two images or more."""
    from scipy.stats import kstest

    ids = table["galaxy_id"]
    yield checks.none(GATE, "one design, the stated one", ids[table["design_digest"] != design.digest()], len(ids))
    yield checks.none(GATE, "two images or more", ids[~(table["n_images"] >= 2)], len(ids))
    size = np.array(design.source_r_half_arcsec) * options.variation.r_half_factor
    for what, values, (low, high) in (
        ("theta_e", np.log(table["theta_e"]), np.log(design.theta_e_arcsec)),
        ("lensed_mag", table[f"lensed_mag_{store.survey.detection_band}"], design.lensed_mag),
        ("source_r_half", np.log(table["source_r_half"]), np.log(size)),
    ):
        inside = bool(((values > low - 1e-6) & (values < high + 1e-6)).all())
        p = float(kstest(values, "uniform", (low, max(high - low, 1e-9))).pvalue) if high > low else 1.0
        passed = inside and p >= limits.least_p
        note = "" if inside else "values beyond the design"
        yield Check(GATE, f"{what} covers the design", passed, p, limit=f">= {limits.least_p:g}", n=len(ids), note=note)


def _gains(table: Columns, store: Store, ok: NDArray[np.bool_], limits: Limits) -> Iterator[Check]:
    """The gain is a number, that of a plausible sky, and about the same everywhere."""
    survey, ids = store.survey, table["galaxy_id"][ok]
    words = np.unique(table["gain_source"][ok])
    yield Check(
        GATE, "one source of the gain", len(words) == 1, len(words), limit="= 1", n=len(ids), note=str(words[0])
    )
    rows = np.flatnonzero(ok)[:ARCS_KEPT]
    variance = _sky_variance(store, rows)
    for b, band in enumerate(survey.bands):
        gain = table[f"gain_{band}"].astype(float)
        wrong = ~(np.isfinite(gain[ok]) & (gain[ok] > 0))
        yield checks.none(GATE, f"gain in {band} above 0", ids[wrong], len(ids))
        if wrong.any():
            continue
        spread = float(np.divide(*np.percentile(gain[ok], (90, 10))))
        most = limits.gain_spread
        yield Check(GATE, f"spread of the gain in {band}", spread <= most, spread, limit=f"<= {most:g}", n=len(ids))
        sky = float(np.nanmedian(gain[rows] * variance[:, b])) if np.isfinite(variance[:, b]).any() else None
        nominal = survey.imaging[band].sky_nanomaggy if band in survey.imaging else None
        if nominal is None:
            yield Check(GATE, f"sky by gain and noise in {band}", True, sky, n=len(rows))
            continue
        low, high = nominal / MOST_FROM_NOMINAL, nominal * MOST_FROM_NOMINAL
        within = sky is not None and low <= sky <= high
        limit = f">= {low:.3g}, <= {high:.3g}"
        yield Check(GATE, f"sky by gain and noise in {band}", within, sky, limit=limit, n=len(rows))


def _sky_variance(store: Store, rows: NDArray[np.int64]) -> Floats:
    """Variance of blank sky of some rows, by invvar or else by the scatter of the outer pixels: (N, B)."""
    images = store.read(rows)
    if "invvar" in store.layout.planes:
        return photon_noise.blank_variance(images, store.read_plane_rows("invvar", rows))
    return np.asarray(_scatter(images[:, _outer(store.size)].astype(np.float64)) ** 2)


def _arcs(
    table: Columns, store: Store, ok: NDArray[np.bool_], options: Settings, psf: str, limits: Limits
) -> Iterator[Check]:
    """Flux, PSF and noise of the arcs that are kept."""
    bands, ids = store.survey.bands, table["galaxy_id"]
    rows = np.flatnonzero(ok[:ARCS_KEPT])
    yield checks.some(GATE, "kept arcs", len(rows))
    if not len(rows):
        return
    arcs = store.read_plane_rows(ARCS, rows).astype(np.float64)
    if options.control in WITHOUT_LIGHT:
        lit = (arcs != 0).any(axis=(1, 2, 3))
        yield checks.none(GATE, f"control {options.control} adds no light", ids[rows][lit], len(rows))
        if options.control == "null":
            return
    else:
        for b, band in enumerate(bands):
            flux = 10 ** (0.4 * (22.5 - table[f"arc_mag_{band}"][rows].astype(float)))
            wrong = ~(abs(arcs[..., b].sum(axis=(1, 2)) / flux - 1) <= limits.flux_error)
            yield checks.none(
                GATE, f"flux of the arcs in {band} is that of arc_mag_{band}", ids[rows][wrong], len(rows)
            )
    smooth = np.flatnonzero(table["source_model"][rows] == "sersic")
    if psf in ("moffat", "planes") and len(smooth):
        injector = Injector(options, store.survey, store.size, np.ones(len(bands)))
        needed = [*NEEDED, *(f"{name}_{band}" for name in ("arc_mag", "psfsize") for band in bands)]
        again = np.stack([light_again({n: table[n][rows[i]] for n in needed}, injector) for i in smooth])
        if options.control == "noise":
            rows, arcs = rows[smooth], again.astype(np.float64)
        else:
            worst = (abs(arcs[smooth] - again).max(axis=(1, 2)) / again.max(axis=(1, 2))).max(axis=1)
            wrong = ~(worst <= limits.shape_error)
            check = "shape and PSF of the arcs are those of the table"
            yield checks.none(GATE, check, ids[rows[smooth]][wrong], len(smooth))
    elif options.control == "noise":
        raise InputError(f"{store.path}: the light of control noise is not known", "judge one of smooth sources")
    else:
        note = "no smooth source to render again, or PSFs of a file"
        yield Check(GATE, "shape and PSF of the arcs are those of the table", True, None, n=0, note=note)
    yield from _noise(table, store, options, rows, arcs, limits)


def _noise(
    table: Columns, store: Store, options: Settings, rows: NDArray[np.int64], arcs: Floats, limits: Limits
) -> Iterator[Check]:
    """Differences of rows of one host are those of their arcs and the photon noise of these, and nothing else."""
    from scipy.ndimage import maximum_filter

    hosts, bands = table["host_id"][rows], store.survey.bands
    first = np.array(list(_pairs(hosts.tolist())), int)
    yield checks.some(GATE, "pairs of rows of one host", len(first))
    if not len(first):
        return
    images = store.read(rows).astype(np.float64)
    shown = options.control not in WITHOUT_LIGHT
    apart = images[first] - images[first + 1] - shown * (arcs[first] - arcs[first + 1])
    gain = np.stack([table[f"gain_{band}"][rows[first]].astype(float) for band in bands], axis=1)
    gain *= options.variation.gain_factor
    light = np.maximum(arcs[first], 0) + np.maximum(arcs[first + 1], 0)
    expected = light / gain[:, None, None, :]
    silent = (options.variation.noise or options.noise) == "none"
    rounding = 1e-6 + 4e-7 * np.nan_to_num(abs(images[first]) + abs(images[first + 1]) + 2 * abs(arcs[first]))
    usable = np.isfinite(apart) & (images[first] != 0)
    unsure = 4e-7 * light.max(axis=(1, 2), keepdims=True) / gain[:, None, None, :]  # single precision
    near = maximum_filter(expected, size=(1, 3, 3, 1)) + unsure  # neighbours share noise
    most = rounding + (0 if silent else SIGMAS * np.sqrt(near))
    changed = (usable & (abs(apart) > most)).any(axis=(1, 2, 3))
    check = "host light untouched but for the arcs and their noise"
    yield checks.none(GATE, check, table["galaxy_id"][rows[first]][changed], len(first))
    if silent:
        return
    whole = _summed(usable.astype(float)) == BLOCK_PX**2
    variance = _summed(expected)
    square = _summed(np.where(usable, apart, 0)) ** 2
    for b, band in enumerate(bands):
        seen = whole[..., b] & (variance[..., b] > 30 * _summed(rounding**2)[..., b]) & (variance[..., b] > 0)
        ratio = np.where(seen, square[..., b] / np.where(seen, variance[..., b], 1), 0).sum(axis=(1, 2))
        count = seen.sum(axis=(1, 2))
        estimate = _ratio(ratio, count)
        yield checks.meets(GATE, f"variance of the noise in {band} over arc/gain", estimate, limits.noise)


def _hosts(table: Columns, store: Store, ok: NDArray[np.bool_], options: Settings) -> Iterator[Check]:
    """Rows of one host, one after the other: blank where it is blank, the same far out, and wholly so in `null`."""
    faults: dict[str, list[str]] = {"nothing added where there are no data": [], "rows of one host agree far out": []}
    same = "null rows equal to the bit"
    if options.control == "null":
        faults[same] = []
    outer, has = _outer(store.size), "invvar" in store.layout.planes
    rows = np.flatnonzero(ok)
    before: tuple[str, NDArray[np.float32], NDArray[np.float32] | None] | None = None
    pairs = 0
    for start in range(0, len(rows), ARCS_KEPT):
        block = rows[start : start + ARCS_KEPT]
        images = store.read(block)
        weights = store.read_plane_rows("invvar", block) if has else None
        for i, row in enumerate(block):
            host, name = str(table["host_id"][row]), str(table["galaxy_id"][row])
            image, weight = images[i], None if weights is None else weights[i]
            if before is not None and before[0] == host:
                pairs += 1
                _compare(faults, same, name, (image, weight), before[1:], outer)
            before = host, image, weight
    for fault, names in faults.items():
        yield Check(
            GATE,
            fault,
            pairs > 0 and not names,
            len(names),
            limit="= 0",
            n=pairs,
            offenders=tuple(names[: checks.OFFENDERS_SHOWN]),
            note="" if pairs else "no two rows of one host: make it with --per-host 2 or more",
        )


def _compare(
    faults: dict[str, list[str]],
    same: str,
    name: str,
    one: tuple[NDArray[np.float32], NDArray[np.float32] | None],
    other: tuple[NDArray[np.float32], NDArray[np.float32] | None],
    outer: NDArray[np.bool_],
) -> None:
    """Note the faults of a row beside another row of its host."""
    blank, agree = list(faults)[:2]
    (image, weight), (image_2, weight_2) = one, other
    alike = np.array_equal(_empty(image), _empty(image_2))
    if weight is not None and weight_2 is not None:
        alike = alike and np.array_equal(weight > 0, weight_2 > 0)
    if not alike:
        faults[blank].append(name)
    sky = _scatter(image[None, outer].astype(np.float64))[0]
    apart = image[outer].astype(np.float64) - image_2[outer]
    usable = np.isfinite(apart).sum(axis=0) >= FEWEST_PIXELS
    with np.errstate(invalid="ignore"):
        if usable.any() and (np.nanmedian(abs(apart[:, usable]), axis=0) > MOST_OUTSIDE * sky[usable]).any():
            faults[agree].append(name)
    if same in faults:
        equal = image.tobytes() == image_2.tobytes()
        if weight is not None and weight_2 is not None:
            equal = equal and weight.tobytes() == weight_2.tobytes()
        if not equal:
            faults[same].append(name)


def _empty(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(image) | (image == 0))


def _pairs(hosts: list[str]) -> Iterator[int]:
    """Places of rows followed by one of the same host; no row in two pairs."""
    i = 0
    while i + 1 < len(hosts):
        if hosts[i] == hosts[i + 1]:
            yield i
            i += 1
        i += 1


def _outer(size: int) -> NDArray[np.bool_]:
    axis = np.arange(size) - (size - 1) / 2
    return np.asarray(np.hypot(axis[:, None], axis[None, :]) > OUTER * size)


def _scatter(pixels: Floats) -> Floats:
    """1.4826 times the median absolute deviation of (N, pixels, B): (N, B); NaN where few have data."""
    out = np.full((len(pixels), pixels.shape[-1]), np.nan)
    for i, b in np.ndindex(out.shape):
        values = pixels[i, :, b][np.isfinite(pixels[i, :, b])]
        if len(values) >= FEWEST_PIXELS:
            out[i, b] = 1.4826 * np.median(abs(values - np.median(values)))
    return out


def _summed(pixels: Floats) -> Floats:
    """Sums over blocks of BLOCK_PX x BLOCK_PX: (N, S, S, B) to (N, s, s, B)."""
    n, size, _, bands = pixels.shape
    side = size // BLOCK_PX
    whole = pixels[:, : side * BLOCK_PX, : side * BLOCK_PX]
    return np.asarray(whole.reshape(n, side, BLOCK_PX, side, BLOCK_PX, bands).sum(axis=(2, 4)))


def _ratio(total: Floats, count: NDArray[np.int64]) -> Estimate:
    """Sum of totals over sum of counts, with the 95 % interval by the scatter of pairs; no value without counts."""
    if not count.sum():
        return Estimate(None)
    value = total.sum() / count.sum()
    error = np.sqrt(np.square(total - value * count).sum()) / count.sum()
    return Estimate(float(value), float(value - Z * error), float(value + Z * error), len(total))
