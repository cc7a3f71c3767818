"""The shortcut gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.comparing import matching
from lensctl.comparing.arrays import booleans, numbers, texts
from lensctl.gates.registry import gate, setting
from lensctl.gates.shortcuts import blocks, brightness, origins
from lensctl.gates.shortcuts.features import CENTROID, CORE_BRIGHTNESS, features_of
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.rules import checks, schema
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError
from lensctl.stats.auc import auc_difference, auc_of_pairs, auc_within
from lensctl.stats.fits import classifier
from lensctl.stats.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.gates.inputs import Inputs
    from lensctl.gates.shortcuts.features import Features
    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

GATE = "shortcut"
PHYSICS = "expected physics, not judged"


@dataclass(frozen=True)
class Settings:
    """Limits of the shortcut gate."""

    level: str = setting("default", "plan also sets a limit on the core test", choices=("default", "plan"))
    max_auc: float = setting(0.60, "an AUC fails if its interval is above this or below 1 minus this")
    core_ratio: tuple[float, float] = setting(
        (0.90, 1.10), "a brightness ratio fails if its interval is outside this range"
    )
    max_excess: float = setting(0.05, "an excess of zeros, NaN or an origin fails if its interval is beyond this")
    positives: int = setting(1500, "maximum number of positives to measure", least=1)
    partners: int = setting(5, "negatives per positive, both sampled and matched", least=1)
    min_positives: int = setting(30, "minimum number of positives", least=1)
    min_matched: float = setting(0.10, "minimum fraction of positives with a match")
    mag: float = setting(0.3, "matching tolerance, magnitudes", least=1e-3, formerly="mag_z")
    colour_1: float = setting(0.2, "matching tolerance, magnitudes", least=1e-3, formerly="g_minus_r")
    colour_2: float = setting(0.2, "matching tolerance, magnitudes", least=1e-3, formerly="r_minus_z")
    psfsize: float = setting(0.15, "matching tolerance, arcsec", least=1e-3, formerly="psfsize_z")
    nobs: float = setting(1.5, "matching tolerance, ratio", least=1.01, formerly="nobs_z")
    centroid_floor: float = setting(0.5, "centroid offsets below this count as centred, pixels")
    folds: int = setting(5, "folds of HEALPix pixels", least=2)
    seed: int = setting(42, "seed of sample, classifier and bootstrap")
    check_pixels: bool = setting(True, "compare pixels with their recorded SHA-256, as gate pixels does for all")

    @property
    def auc(self) -> tuple[float, float]:
        """Range that the interval of an AUC must overlap."""
        return 1 - self.max_auc, self.max_auc


def conditions(survey: Survey) -> tuple[str, ...]:
    """Columns of the conditions of observation: PSF, depth and exposures in the depth band."""
    return tuple(survey.depth(name) for name in ("psfsize", "psfdepth", "nobs"))


def matched_in(survey: Survey) -> tuple[str, str, str, str, str]:
    """Columns in which negatives are matched to positives: flux, both colours, PSF and exposures."""
    return (survey.depth("flux"), *survey.colour_columns, survey.depth("psfsize"), survey.depth("nobs"))


def needed(survey: Survey) -> tuple[str, ...]:
    """Columns that a manifest must have."""
    of_class = ("galaxy_id", "label", "type", survey.nobs_bin, "healpix_128", "cutout_ok")
    of_cutout = ("ra", "dec", "cutout_path", "cutout_index")
    return (*dict.fromkeys((*of_class, *conditions(survey), *matched_in(survey), *of_cutout)),)


@dataclass(frozen=True)
class _Rows:
    """The usable rows of a manifest: (N,) arrays. `place` is the row number in the manifest."""

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
    def negatives(self) -> Ints:
        return np.flatnonzero(~self.is_lens)

    def take(self, rows: Ints) -> _Rows:
        """Some of the rows."""
        return _Rows(
            self.place[rows],
            self.ids[rows],
            self.is_lens[rows],
            self.kind[rows],
            self.stratum[rows],
            self.pixel[rows],
            {name: values[rows] for name, values in self.columns.items()},
        )


@gate(GATE, inputs="MANIFEST", settings=Settings)
def shortcut(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """Only lensing separates the classes: not noise, background, gaps, centring, PSF, depth, nobs or source.

    Names are those of ls-dr10; z is its depth band, g-r and r-z are its colours, radii are in its pixels. Rows with a
    failed cutout are ignored. Over all rows and within strata (type, nobs_z_bin): psfsize_z, psfdepth_z, nobs_z. On a
    reproducible sample of cutouts with the strata of the positives: the excess (fraction of positives minus fraction of
    negatives) of a source, layer, release, pixel scale or side of the survey, and of cutouts with zeros or NaN in a
    band. Against negatives matched in type, flux_z, g-r, r-z, psfsize_z and nobs_z (a negative serves at most five
    positives): noise and texture in the outer annulus; level, gradient and stripes of the background there, and level,
    noise and corners beyond it, in units of the noise; centroid; all of these combined with PSF, depth and nobs; how
    fast the brightness falls within 3 px, and how bright it is there. Reported as expected physics: annulus_brightness,
    annulus_mad, asymmetry and profile (mean brightness in five rings). It does not see what is wrong inside the radius
    of the arcs, or in both classes alike; denser places of real lenses are untested.

    The classifier is scikit-learn's HistGradientBoostingClassifier (60 trees of depth 3), cross-validated in five folds
    of HEALPix pixels. The core test uses mean and standard deviation in five rings within 10 px in each band; only
    --level plan sets a limit on it. An AUC, an excess or a ratio fails only if its whole 95% interval is outside.
    """
    import pyarrow as pa

    manifest, survey = inputs.manifest, inputs.survey
    schema.require(manifest, *needed(survey), where=inputs.path, survey=survey)
    rows = _read(manifest, survey)
    yield checks.some(GATE, "positives", len(rows.lenses), limits.min_positives)
    yield checks.some(GATE, "negatives", len(rows.negatives), limits.min_positives)
    if min(len(rows.lenses), len(rows.negatives)) < limits.min_positives:
        return
    unlocated = texts(manifest, "galaxy_id")[~np.isfinite(numbers(manifest, "healpix_128"))]
    yield checks.none(GATE, "healpix_128 is known", unlocated, manifest.num_rows)
    yield from _conditions(rows, limits, survey)

    lenses, negatives = matching.sample(
        rows.ids,
        rows.stratum,
        rows.lenses,
        rows.negatives,
        most=limits.positives,
        partners=limits.partners,
        seed=limits.seed,
    )
    tolerance = matching.Tolerance(limits.mag, limits.colour_1, limits.colour_2, limits.psfsize, limits.nobs)
    where = matching.coordinates(tolerance, *(rows.columns[name] for name in matched_in(survey)))
    positive, negative = matching.match(where, rows.kind, lenses, rows.negatives, limits.partners)
    measured = np.unique(np.concatenate([lenses, negatives, negative]))
    counts = f"{len(lenses):,} positives, {len(negatives):,} negatives of the same strata"
    note = f"{counts}, {len(np.unique(negative)):,} matched"
    yield Check(GATE, "cutouts looked at", True, len(measured), n=len(rows.ids), note=note)
    matched = len(np.unique(positive))
    yield checks.share(GATE, "share of positives matched", wilson(matched, len(lenses)), (limits.min_matched, 1.0))
    yield _balance(matching.balance(where, rows.kind, lenses, positive, negative), matched, survey)

    # from here on, row indices refer to the measured rows
    rows = rows.take(measured)
    drawn, positive, negative = (
        np.searchsorted(measured, found) for found in (np.concatenate([lenses, negatives]), positive, negative)
    )
    measured_table = manifest.take(pa.array(rows.place))
    cutouts = Cutouts(measured_table, inputs.root)
    yield from _origin(rows, origins.of(measured_table, cutouts, survey), limits)
    values = _measure(cutouts, survey, limits)
    yield from _patterns(rows.take(drawn), values.take(drawn), limits)
    yield checks.some(GATE, "matched positives", matched, limits.min_positives)
    if matched >= limits.min_positives:
        yield from _nuisances(rows, values, positive, negative, survey, limits)
        yield from _physics(rows, values, positive, negative)
    yield from _core(rows, values, drawn, limits)


def _balance(found: matching.Balance, matched: int, survey: Survey) -> Check:
    """The largest standardised difference after matching; reported, with the others."""
    each = ", ".join(f"{name} {d:+.2f}" for name, d in zip(matched_in(survey), found.differences, strict=True))
    alone = ", ".join(f"{count} {kind}" for kind, count in sorted(found.unmatched.items())) or "none"
    uses = f"a negative serves at most {found.most_uses} positives; unmatched positives: {alone}"
    largest = max((abs(d) for d in found.differences), default=0.0)
    note = f"{each}; {uses}"
    return Check(GATE, "largest standardised mean difference of matched pairs", True, largest, n=matched, note=note)


def _read(manifest: pa.Table, survey: Survey) -> _Rows:
    label = numbers(manifest, "label")
    usable = booleans(manifest, "cutout_ok") & np.isin(label, (0, 1))
    place = np.flatnonzero(usable & np.isfinite(numbers(manifest, "healpix_128")))
    kind, nobs_bin = (texts(manifest, name)[place] for name in ("type", survey.nobs_bin))
    _, stratum = np.unique(np.char.add(np.char.add(kind, "/"), nobs_bin), return_inverse=True)
    names = dict.fromkeys((*conditions(survey), *matched_in(survey)))
    columns = {name: numbers(manifest, name)[place] for name in names}
    pixel = numbers(manifest, "healpix_128")[place].astype(np.int64)
    return _Rows(place, texts(manifest, "galaxy_id")[place], label[place] == 1, kind, stratum, pixel, columns)


def _conditions(rows: _Rows, limits: Settings, survey: Survey) -> Iterator[Check]:
    """PSF, depth and exposures: overall and within strata."""
    one_stratum = np.zeros(len(rows.ids), np.int64)
    for name in conditions(survey):
        for how, stratum in (("", one_stratum), (", within strata", rows.stratum)):
            estimate = auc_within(rows.columns[name], rows.is_lens, stratum, rows.pixel)
            yield checks.meets(GATE, f"AUC of {name}{how}", estimate, limits.auc)
    share = np.array([rows.is_lens[rows.stratum == s].mean() for s in range(int(rows.stratum.max()) + 1)])
    estimate = auc_within(share[rows.stratum], rows.is_lens, one_stratum, rows.pixel)
    note = "0.5 if all strata have the same fraction of positives"
    yield checks.meets(GATE, f"AUC of type and {survey.nobs_bin}", estimate, None, note)


def _origin(rows: _Rows, found: dict[str, NDArray[np.str_]], limits: Settings) -> Iterator[Check]:
    """Origin of the pixels: the value whose fraction differs most between the classes."""
    one_stratum = np.zeros(len(rows.ids), np.int64)
    for name, values in found.items():
        shares = {
            str(value): float((values[rows.is_lens] == value).mean() - (values[~rows.is_lens] == value).mean())
            for value in np.unique(values)
        }
        worst = max(shares, key=lambda value: (abs(shares[value]), value))
        yield _excess(f"{name} {worst}", values == worst, rows, one_stratum, limits)


@dataclass(frozen=True)
class _Values:
    """Features of some rows: (N, F) float64, and what they are."""

    of: Features
    table: Floats

    def take(self, rows: Ints) -> _Values:
        return _Values(self.of, self.table[rows])

    def column(self, name: str) -> Floats:
        return self.table[:, self.of.names.index(name)]

    def columns(self, names: Sequence[str]) -> Floats:
        return self.table[:, [self.of.names.index(name) for name in names]]


def _measure(cutouts: Cutouts, survey: Survey, limits: Settings) -> _Values:
    """Features of every cutout."""
    size = cutouts.read([0], check=limits.check_pixels).shape[1]
    wanted = features_of(survey, size)

    def measure_block(block: Ints) -> Floats:
        images = cutouts.read(block, check=limits.check_pixels)
        if size < wanted.least_size or images.shape[1:] != (size, size, len(survey.bands)):
            listed = ", ".join(survey.bands)
            raise InputError(
                f"gate shortcut needs {wanted.least_size} px or more and bands {listed}, not {images.shape[1:]}",
                "make larger cutouts, all of one size",
            )
        return wanted.measure(images, limits.centroid_floor)

    everything = np.arange(cutouts.n)
    parts = np.split(everything, np.arange(blocks.BLOCK_ROWS, cutouts.n, blocks.BLOCK_ROWS))
    return _Values(wanted, np.concatenate([found for _, found in blocks.each_block(parts, measure_block)]))


def _patterns(rows: _Rows, values: _Values, limits: Settings) -> Iterator[Check]:
    """Exact zeros and NaN: the fraction of cutouts that have any."""
    for name in values.of.patterns:
        yield _excess(name.replace("_", " in "), values.column(name) > 0, rows, rows.stratum, limits)


def _excess(what: str, has: NDArray[np.bool_], rows: _Rows, stratum: Ints, limits: Settings) -> Check:
    """Fraction of positives with a property minus that of negatives; offenders are from the class with more."""
    estimate = auc_difference(auc_within(has.astype(float), rows.is_lens, stratum, rows.pixel))
    more = has & (rows.is_lens == ((estimate.value or 0.0) > 0))
    bounds = (-limits.max_excess, limits.max_excess)
    return checks.meets(GATE, f"excess of {what}", estimate, bounds, offenders=rows.ids[more])


def _nuisances(
    rows: _Rows, values: _Values, positive: Ints, negative: Ints, survey: Survey, limits: Settings
) -> Iterator[Check]:
    """Noise, background, centring and PSF against matched negatives, one by one; all but the PSF combined.

    Then the innermost brightness. Sharpness is that of the depth band, where arcs are faintest.
    """
    for name in (*values.of.noise, *values.of.background, *CENTROID, values.of.sharpness):
        estimate = auc_of_pairs(values.column(name), positive, negative, rows.pixel)
        yield checks.meets(GATE, f"AUC of {name}, matched", estimate, limits.auc)

    weight = brightness.pair_weights(positive)
    share = np.bincount(negative, weight, len(rows.ids)).astype(float)
    share[np.unique(positive)] = 1.0
    used = np.flatnonzero(share)
    combined = np.hstack(
        [
            values.columns((*values.of.noise, *values.of.background, *values.of.patterns, *CENTROID)),
            np.stack([rows.columns[name] for name in conditions(survey)], axis=1),
        ]
    )
    score = np.full(len(rows.ids), np.nan)
    score[used], _ = classifier.out_of_fold(
        combined[used], rows.is_lens[used], share[used], rows.pixel[used], folds=limits.folds, seed=limits.seed
    )
    note = f"{classifier.NAME} on {combined.shape[1]} features, cross-validated over HEALPix pixels"
    estimate = auc_of_pairs(score, positive, negative, rows.pixel, fitted=True)
    yield checks.meets(GATE, "AUC of all nuisances together, matched", estimate, limits.auc, note)
    ratio = brightness.matched_ratio(
        values.column(values.of.inner), rows.columns[survey.depth("flux")], positive, negative, rows.pixel, limits.seed
    )
    what = f"inner {values.of.profile_edges[1]} px brightness in {survey.depth_band}, ratio of medians, matched"
    yield checks.meets(GATE, what, ratio, limits.core_ratio)


def _physics(rows: _Rows, values: _Values, positive: Ints, negative: Ints) -> Iterator[Check]:
    for name in values.of.physics:
        estimate = auc_of_pairs(values.column(name), positive, negative, rows.pixel)
        yield checks.meets(GATE, f"AUC of {name}, matched", estimate, None, PHYSICS)


def _core(rows: _Rows, values: _Values, drawn: Ints, limits: Settings) -> Iterator[Check]:
    """The core test: a classifier on the core, r < 10 px for ls-dr10, and the ratio of mean brightness there."""
    judged = limits.level == "plan"
    within = f"r < {values.of.core_edges[-1]} px"
    note = f"arcs reach into {within}" if judged else f"{PHYSICS} at this level: arcs reach into {within}"
    score, fold = classifier.out_of_fold(
        values.columns(values.of.core_rings)[drawn],
        rows.is_lens[drawn],
        np.ones(len(drawn)),
        rows.pixel[drawn],
        folds=limits.folds,
        seed=limits.seed,
    )
    estimate = auc_within(score, rows.is_lens[drawn], fold, rows.pixel[drawn], fitted=True)
    bounds = limits.auc if judged else None
    yield checks.meets(GATE, f"AUC of core, {within}", estimate, bounds, f"{classifier.NAME}; {note}")
    core = values.column(CORE_BRIGHTNESS)[drawn]
    ratio = brightness.mean_ratio(core, rows.is_lens[drawn], rows.pixel[drawn], limits.seed)
    bounds = limits.core_ratio if judged else None
    yield checks.meets(GATE, f"core brightness, {within}, ratio of means", ratio, bounds, note)
