"""The shortcut gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.doors.cutouts import Cutouts
from lensctl.gates import brightness, classifier, features, matching, origins, separation
from lensctl.gates.classes import numbers, texts
from lensctl.gates.registry import gate, setting
from lensctl.words import checks, schema
from lensctl.words.checks import Check
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.gates.inputs import Inputs
    from lensctl.words.intervals import Estimate

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

GATE = "shortcut"
CONDITIONS = ("psfsize_z", "psfdepth_z", "nobs_z")
MATCHED_IN = ("flux_z", "g_minus_r", "r_minus_z", "psfsize_z", "nobs_z")
NEEDED = ("galaxy_id", "label", "type", "nobs_z_bin", "healpix_128", "cutout_ok", *CONDITIONS, *MATCHED_IN[:3])
PHYSICS = "expected physics, not judged"
BLOCK_ROWS = 256
LEAST_SIZE = 51


@dataclass(frozen=True)
class Settings:
    """Limits of the shortcut gate."""

    level: str = setting("default", "plan also judges the plan's own core test", choices=("default", "plan"))
    max_auc: float = setting(0.60, "an AUC whose interval lies above this, or below 1 minus it, fails")
    core_ratio: tuple[float, float] = setting((0.90, 1.10), "a brightness ratio whose interval lies outside fails")
    max_pattern: float = setting(0.05, "greatest difference between the classes in the share of a pattern")
    positives: int = setting(1500, "positives to look at, at most")
    partners: int = setting(5, "negatives for each of them, drawn and matched")
    min_positives: int = setting(30, "fewest positives that are enough to judge")
    min_matched: float = setting(0.10, "least share of the positives that must find a match")
    mag_z: float = setting(0.3, "tolerance of a match, magnitudes")
    g_minus_r: float = setting(0.2, "tolerance of a match, magnitudes")
    r_minus_z: float = setting(0.2, "tolerance of a match, magnitudes")
    psfsize_z: float = setting(0.15, "tolerance of a match, arcsec")
    nobs_z: float = setting(1.5, "tolerance of a match, ratio")
    centroid_floor: float = setting(0.5, "a centroid nearer to the centre than this is centred, pixels")
    folds: int = setting(5, "folds of HEALPix pixels")
    seed: int = setting(42, "seed of sample, classifier and bootstrap")


@dataclass(frozen=True)
class _Rows:
    """The usable rows of a manifest: (N,) arrays. `place` is the row in the manifest."""

    place: Ints
    ids: NDArray[np.str_]
    is_lens: NDArray[np.bool_]
    kind: NDArray[np.str_]
    stratum: Ints
    pixel: Ints
    columns: dict[str, Floats]

    @property
    def lenses(self) -> Ints:
        return np.flatnonzero(self.is_lens)

    @property
    def others(self) -> Ints:
        return np.flatnonzero(~self.is_lens)


@gate(GATE, inputs="MANIFEST", settings=Settings)
def shortcut(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """Nothing but the lens itself tells the classes apart: not noise, gaps, centring, PSF, depth, nobs or source.

    Conditions of observation are compared over all rows, as they stand and within strata (type, nobs_z_bin);
    pixels between each positive and negatives matched to it in type, flux_z, g-r, r-z, psfsize_z and nobs_z; the
    plan's core test on a sample with the same strata in both classes. Rows whose cutout failed do not train and
    are not looked at. What arcs do to a cutout is reported as expected physics.
    """
    import pyarrow as pa

    manifest = inputs.manifest
    schema.require(manifest, *NEEDED, "ra", "dec", "cutout_path", "cutout_index", where=inputs.path)
    rows = _read(manifest)
    yield checks.some(GATE, "positives", len(rows.lenses), limits.min_positives)
    yield checks.some(GATE, "negatives", len(rows.others), limits.min_positives)
    if min(len(rows.lenses), len(rows.others)) < limits.min_positives:
        return
    yield from _conditions(rows, limits)

    lenses, others = matching.sample(
        rows.ids,
        rows.stratum,
        rows.lenses,
        rows.others,
        most=limits.positives,
        partners=limits.partners,
        seed=limits.seed,
    )
    tolerance = matching.Tolerance(limits.mag_z, limits.g_minus_r, limits.r_minus_z, limits.psfsize_z, limits.nobs_z)
    where = matching.coordinates(rows.columns, tolerance)
    positive, negative = matching.match(where, rows.kind, lenses, rows.others, limits.partners)
    matched = np.unique(positive)
    looked = np.unique(np.concatenate([lenses, others, negative]))
    note = f"{len(lenses):,} positives, {len(others):,} negatives of their strata, {len(np.unique(negative)):,} matched"
    yield Check(GATE, "cutouts looked at", True, len(looked), n=len(rows.ids), note=note)
    yield checks.share(GATE, "share of positives matched", len(matched), len(lenses), (limits.min_matched, 1.0))

    seen = manifest.take(pa.array(rows.place[looked]))
    cutouts = Cutouts(seen, inputs.root)
    yield from _origin(rows, looked, origins.of(seen, cutouts), limits)
    values = _measure(cutouts, len(rows.ids), looked, limits)
    drawn = np.concatenate([lenses, others])
    yield from _patterns(rows, values, drawn, limits)
    yield checks.some(GATE, "matched positives", len(matched), limits.min_positives)
    if len(matched) >= limits.min_positives:
        yield from _nuisances(rows, values, positive, negative, limits)
        yield from _physics(rows, values, positive, negative)
    yield from _core(rows, values, drawn, limits)


def _read(manifest: pa.Table) -> _Rows:
    label = numbers(manifest, "label")
    usable = np.asarray(manifest["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    place = np.flatnonzero(usable & np.isin(label, (0, 1)) & np.isfinite(numbers(manifest, "healpix_128")))
    kind, nobs_bin = (texts(manifest, name)[place] for name in ("type", "nobs_z_bin"))
    _, stratum = np.unique(np.char.add(np.char.add(kind, "/"), nobs_bin), return_inverse=True)
    columns = {name: numbers(manifest, name)[place] for name in dict.fromkeys((*CONDITIONS, *MATCHED_IN))}
    pixel = numbers(manifest, "healpix_128")[place].astype(np.int64)
    return _Rows(place, texts(manifest, "galaxy_id")[place], label[place] == 1, kind, stratum, pixel, columns)


def _conditions(rows: _Rows, limits: Settings) -> Iterator[Check]:
    """PSF, depth and exposures: as the manifest has them, and within strata."""
    everything = np.zeros(len(rows.ids), np.int64)
    for name in CONDITIONS:
        for how, stratum in (("", everything), (", within strata", rows.stratum)):
            estimate = separation.auc_within(rows.columns[name], rows.is_lens, stratum, rows.pixel)
            yield _auc(f"{name}{how}", estimate, limits)
    share = np.array([rows.is_lens[rows.stratum == s].mean() for s in range(int(rows.stratum.max()) + 1)])
    estimate = separation.auc_within(share[rows.stratum], rows.is_lens, everything, rows.pixel)
    yield _auc("type and nobs_z_bin", estimate, None, "0.5 where every stratum has its share of negatives; not judged")


def _auc(check: str, estimate: Estimate, limits: Settings | None, note: str = "") -> Check:
    """Judged by its interval: fails where that lies wholly beyond a limit, on either side; None: only reported."""
    low, high = estimate.low, estimate.high
    if limits is None:
        return Check(GATE, f"AUC of {check}", True, estimate.value, low, high, n=estimate.n, note=note)
    floor, ceiling = 1 - limits.max_auc, limits.max_auc
    passed = estimate.value is not None and not (
        (estimate.value if low is None else low) > ceiling or (estimate.value if high is None else high) < floor
    )
    if estimate.value is None:
        note = "nothing to compare: no values in one class"
    limit = f"interval meets {floor:g}..{ceiling:g}"
    return Check(GATE, f"AUC of {check}", passed, estimate.value, low, high, limit, estimate.n, note=note)


def _origin(rows: _Rows, looked: Ints, found: dict[str, NDArray[np.str_]], limits: Settings) -> Iterator[Check]:
    """Where the pixels come from: the value whose share differs most between the classes."""
    is_lens, pixel = rows.is_lens[looked], rows.pixel[looked]
    together = np.zeros(len(looked), np.int64)
    for name, values in found.items():
        shares = {
            str(value): float((values[is_lens] == value).mean() - (values[~is_lens] == value).mean())
            for value in np.unique(values)
        }
        worst = max(shares, key=lambda value: (abs(shares[value]), value))
        estimate = separation.auc_within((values == worst).astype(float), is_lens, together, pixel)
        yield _difference(f"share of {name} {worst}", separation.difference(estimate), limits)


def _measure(cutouts: Cutouts, n: int, looked: Ints, limits: Settings) -> Floats:
    """Features of the rows looked at, (n, F); NaN in every other row."""
    values = np.full((n, len(features.NAMES)), np.nan)
    for start in range(0, len(looked), BLOCK_ROWS):
        block = np.arange(start, min(start + BLOCK_ROWS, len(looked)))
        images = cutouts.read(block)
        if images.shape[1] < LEAST_SIZE or images.shape[3] != len(features.BANDS):
            raise InputError(f"gate shortcut needs {LEAST_SIZE} px and three bands, not {images.shape[1:]}", "cut anew")
        values[looked[block]] = features.measure(images, limits.centroid_floor)
    return values


def _column(values: Floats, name: str) -> Floats:
    return values[:, features.NAMES.index(name)]


def _columns(values: Floats, names: Sequence[str]) -> Floats:
    return values[:, [features.NAMES.index(name) for name in names]]


def _patterns(rows: _Rows, values: Floats, drawn: Ints, limits: Settings) -> Iterator[Check]:
    """Exact zeros and NaN: the share of cutouts that have any."""
    for name in features.PATTERNS:
        has = (_column(values, name)[drawn] > 0).astype(float)
        estimate = separation.auc_within(has, rows.is_lens[drawn], rows.stratum[drawn], rows.pixel[drawn])
        yield _difference(f"share with {name.replace('_', ' in ')}", separation.difference(estimate), limits)


def _difference(check: str, estimate: Estimate, limits: Settings) -> Check:
    most, low, high = limits.max_pattern, estimate.low, estimate.high
    passed = estimate.value is not None and not ((low or 0.0) > most or (high or 0.0) < -most)
    limit = f"interval meets {-most:g}..{most:g}"
    note = "positives minus negatives"
    return Check(GATE, check, passed, estimate.value, low, high, limit, estimate.n, note=note)


def _nuisances(rows: _Rows, values: Floats, positive: Ints, negative: Ints, limits: Settings) -> Iterator[Check]:
    """Noise and centring against matched negatives, one by one and all together; then the innermost brightness."""
    for name in (*features.NOISE, *features.CENTROID):
        estimate = separation.auc_of_pairs(_column(values, name), positive, negative, rows.pixel)
        yield _auc(f"{name}, matched", estimate, limits)

    weight = brightness.pair_weights(positive)
    share = np.bincount(negative, weight, len(rows.ids)).astype(float)
    share[np.unique(positive)] = 1.0
    used = np.flatnonzero(share)
    together = np.hstack(
        [
            _columns(values, (*features.NOISE, *features.PATTERNS, *features.CENTROID)),
            np.stack([rows.columns[name] for name in CONDITIONS], axis=1),
        ]
    )
    score = np.full(len(rows.ids), np.nan)
    score[used], _ = classifier.out_of_fold(
        together[used], rows.is_lens[used], share[used], rows.pixel[used], folds=limits.folds, seed=limits.seed
    )
    note = f"{classifier.NAME} on {together.shape[1]} numbers, judged on pixels it has not seen"
    yield _auc(
        "all of these together, matched",
        separation.auc_of_pairs(score, positive, negative, rows.pixel),
        limits,
        note,
    )
    ratio = brightness.matched_ratio(
        _column(values, features.INNER), rows.columns["flux_z"], positive, negative, rows.pixel, limits.seed
    )
    yield _ratio("inner 3 px brightness in z, ratio of medians, matched", ratio, limits.core_ratio, True)


def _physics(rows: _Rows, values: Floats, positive: Ints, negative: Ints) -> Iterator[Check]:
    for name in features.PHYSICS:
        estimate = separation.auc_of_pairs(_column(values, name), positive, negative, rows.pixel)
        yield _auc(f"{name}, matched", estimate, None, PHYSICS)


def _core(rows: _Rows, values: Floats, drawn: Ints, limits: Settings) -> Iterator[Check]:
    """The plan's own test: a classifier on r < 10 px, and the ratio of mean brightness there."""
    judged = limits.level == "plan"
    note = "arcs reach into r < 10 px" if judged else f"{PHYSICS} at this level: arcs reach into r < 10 px"
    score, fold = classifier.out_of_fold(
        _columns(values, features.CORE_RINGS)[drawn],
        rows.is_lens[drawn],
        np.ones(len(drawn)),
        rows.pixel[drawn],
        folds=limits.folds,
        seed=limits.seed,
    )
    estimate = separation.auc_within(score, rows.is_lens[drawn], fold, rows.pixel[drawn])
    yield _auc("core, r < 10 px", estimate, limits if judged else None, f"{classifier.NAME}; {note}")
    core = _column(values, features.CORE_BRIGHTNESS)[drawn]
    ratio = brightness.mean_ratio(core, rows.is_lens[drawn], rows.pixel[drawn], limits.seed)
    yield _ratio("core brightness, r < 10 px, ratio of means", ratio, limits.core_ratio, judged, note)


def _ratio(check: str, estimate: Estimate, bounds: tuple[float, float], judged: bool, note: str = "") -> Check:
    value, low, high = estimate.value, estimate.low, estimate.high
    limit = f"interval meets {bounds[0]:g}..{bounds[1]:g}"
    passed = value is not None and not (
        (value if low is None else low) > bounds[1] or (value if high is None else high) < bounds[0]
    )
    if value is None:
        note = "no brightness to compare"
    return Check(GATE, check, passed or not judged, value, low, high, limit if judged else "", estimate.n, note=note)
