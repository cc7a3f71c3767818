"""Injections beside real lenses: what a classifier tells them apart by, matched in magnitude and colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.comparing import embeddings, matching
from lensctl.comparing.arrays import numbers, texts
from lensctl.frozen.selection_level import ARCS, ARTEFACTS, AUC, BRIGHT, CENTRED, EMBEDDING, auc_limit
from lensctl.injection import observables
from lensctl.rules import checks, sampling_rule, schema
from lensctl.rules.acceptance import MOST_ARC_AUC, MOST_ARC_OFFSET_PX, MOST_ARTEFACT_AUC, MOST_BRIGHTER
from lensctl.rules.checks import Check
from lensctl.rules.columns import results
from lensctl.rules.errors import InputError
from lensctl.stats.auc import auc_of_pairs, auc_within
from lensctl.stats.fits import classifier
from lensctl.stats.fits.clustered import mean_by_pixel
from lensctl.stats.intervals import Estimate, wilson
from lensctl.stats.shares import share_of_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

GATE = "realism"
TABLES = ("real", "injections", "hosts")
TOLD_MOST = 5
LENSES_A_COMPONENT = 10
"""Principal components of the embedding are as many as a tenth of the lenses."""

ONE_KIND = "lens"
BRIGHT_MAG, SMALL_ARCSEC, TOLERANCE = 23.0, 1.0, 1.05
"""Arcs whose flux is compared, by Einstein radius those of which an aperture holds most; how much more may be noise."""


@dataclass(frozen=True)
class Limits:
    """What is compared, and what is too much; `lensctl gate realism` says what each is."""

    max_artefact_auc: float = MOST_ARTEFACT_AUC
    max_arc_offset_px: float = MOST_ARC_OFFSET_PX
    max_brighter: float = MOST_BRIGHTER
    realistic: float = 0.70
    usable: float = MOST_ARC_AUC
    min_lenses: int = 30
    min_matched: float = 0.10
    partners: int = 5
    mag: float = 0.3
    colour: float = 0.2
    folds: int = 5
    seed: int = 42

    @property
    def artefact_auc(self) -> tuple[float, float]:
        """Range that the interval of the artefacts' AUC must overlap."""
        return 1 - self.max_artefact_auc, self.max_artefact_auc


@dataclass(frozen=True)
class _Rows:
    """Rows of a table: values of each kind of features (N, F), aperture magnitude and colours (N, 3), and pixels."""

    ids: NDArray[np.str_]
    pixel: Ints
    place: Floats
    values: dict[str, Floats]

    def take(self, rows: NDArray[np.bool_] | Ints) -> _Rows:
        values = {name: each[rows] for name, each in self.values.items()}
        return _Rows(self.ids[rows], self.pixel[rows], self.place[rows], values)


def compared(
    tables: Mapping[str, pa.Table], names: Mapping[str, str], survey: Survey, limits: Limits
) -> Iterator[Check]:
    """The checks of the realism gate.

    Parameters
    ----------
    tables, names : mapping
        TABLES, with scores and observables, and what each is called in messages.

    Raises
    ------
    InputError
        A column that is missing; pixels that are unknown; embeddings of other lengths.
    """
    schema.require(tables["real"], "tier", "split", where=names["real"])
    real, injected = (_read(tables[name], names[name], survey) for name in ("real", "injections"))
    hosts = _read(tables["hosts"], names["hosts"], survey) if _observed(tables["hosts"], survey) else None
    is_real = _lenses(tables["real"])
    lenses = real.take(is_real)
    injections = injected.take(_plain(tables["injections"]) & _as_lenses_hosts(tables["injections"], limits.seed))
    taught = lenses.ids[texts(tables["real"], "split")[is_real] != "test"]
    yield checks.none(GATE, "lenses are of the test split", taught, len(lenses.ids))
    yield checks.some(GATE, "lenses", len(lenses.ids), limits.min_lenses)
    yield checks.some(GATE, "injections", len(injections.ids), limits.min_lenses)
    yield checks.some(GATE, "hosts", tables["hosts"].num_rows)
    if min(len(lenses.ids), len(injections.ids)) < limits.min_lenses:
        return
    both = _joined(lenses, injections)
    scale = np.array([limits.mag, limits.colour, limits.colour])
    kind = np.full(len(both.ids), ONE_KIND)
    is_lens = np.arange(len(both.ids)) < len(lenses.ids)
    positives, negatives = np.flatnonzero(is_lens), np.flatnonzero(~is_lens)
    lens, partner = matching.match(both.place / scale, kind, positives, negatives, limits.partners)
    matched = len(np.unique(lens))
    share = wilson(matched, len(lenses.ids))
    yield checks.share(GATE, "share of lenses matched in aperture magnitudes", share, (limits.min_matched, 1.0))
    yield checks.some(GATE, "matched lenses", matched, limits.min_lenses)
    if matched < limits.min_lenses:
        return
    yield from _judged(both, is_lens, lens, partner, survey, limits)
    yield _as_bright_as_told(tables["injections"], tables["hosts"], survey, limits)
    tier = texts(tables["real"], "tier")[is_real]
    halves = injections.take(np.unique(partner) - len(lenses.ids))
    yield from _reference("tier A against B", lenses, tier == "A", limits)
    yield from _reference("injections against injections", halves, _half(halves.ids, limits.seed), limits)
    if hosts is None:
        note = "the hosts were not observed: give those of `selection observe` to `selection fit`"
        yield Check(GATE, "reference, hosts against hosts", True, None, note=note)
    else:
        yield from _reference("hosts against hosts", hosts, _half(hosts.ids, limits.seed), limits)


def _judged(
    rows: _Rows, is_lens: NDArray[np.bool_], lens: Ints, partner: Ints, survey: Survey, limits: Limits
) -> Iterator[Check]:
    """P1, P2 and P3 of the matched pairs."""
    estimate = _auc(rows, rows.values[ARTEFACTS], is_lens, lens, partner, limits)
    told = _telling(rows.values[ARTEFACTS], features(survey)[ARTEFACTS], lens, partner, rows.pixel)
    note = f"{classifier.NAME}, cross-validated over HEALPix pixels; tell most: {told}"
    yield checks.meets(GATE, AUC[ARTEFACTS], estimate, limits.artefact_auc, note)
    yield from _centred(rows.take(~is_lens), features(survey)[ARCS], limits)
    estimate = _auc(rows, rows.values[ARCS], is_lens, lens, partner, limits)
    told = _telling(rows.values[ARCS], features(survey)[ARCS], lens, partner, rows.pixel)
    yield verdict(AUC[ARCS], estimate, told, limits)
    what = AUC[EMBEDDING]
    if EMBEDDING not in rows.values:
        yield Check(GATE, what, True, None, note="no embedding in both tables: score with --embedding")
        return
    used = np.union1d(lens, partner)
    count = max(1, len(np.unique(lens)) // LENSES_A_COMPONENT)
    found = embeddings.principal(rows.values[EMBEDDING][used], count)
    parts = np.full((len(rows.ids), found.shape[1]), np.nan)
    parts[used] = found
    estimate = _auc(rows, parts, is_lens, lens, partner, limits)
    names = [f"component {i + 1}" for i in range(found.shape[1])]
    told = _telling(parts, names, lens, partner, rows.pixel)
    yield verdict(what, estimate, f"{found.shape[1]} components; {told}", limits)


def _centred(injections: _Rows, names: list[str], limits: Limits) -> Iterator[Check]:
    """Whether the arcs lie around their galaxies: they have no preferred direction, so that their mean offset is 0."""
    most = limits.max_arc_offset_px
    for check, name in zip(CENTRED, observables.ARC_CENTRE, strict=True):
        offset = injections.values[ARCS][:, names.index(name)]
        known = np.isfinite(offset)
        yield checks.meets(GATE, check, mean_by_pixel(offset[known], injections.pixel[known]), (-most, most))


def _as_bright_as_told(injections: pa.Table, hosts: pa.Table, survey: Survey, limits: Limits) -> Check:
    """Whether injecting added at most as much light within 1.5 arcsec as the table gives the whole arc."""
    band = survey.colours[0][0]
    added, told, seen = f"obs_mag_{band}", f"arc_mag_{band}", _plain(injections)
    if not {"host_id", "theta_e", told} <= {*injections.column_names} or added not in hosts.column_names:
        note = "needs injections by lensctl, and hosts that were observed"
        return Check(GATE, BRIGHT, True, None, note=note, told=False)
    before = dict(zip(texts(hosts, "galaxy_id").tolist(), _flux(hosts, added).tolist(), strict=True))
    host = np.array([before.get(id, np.nan) for id in texts(injections, "host_id").tolist()], float)
    ratio = (_flux(injections, added) - host) / _flux(injections, told)
    arcs = (numbers(injections, told) < BRIGHT_MAG) & (numbers(injections, "theta_e") < SMALL_ARCSEC)
    known = seen & np.isfinite(ratio) & arcs
    if not known.any():
        note = f"no arc is brighter than {BRIGHT_MAG:g} in {band} and within {SMALL_ARCSEC:g} arcsec"
        return Check(GATE, BRIGHT, True, None, note=note, told=False)
    pixel = numbers(injections, "healpix_128")[known].astype(np.int64)
    return checks.meets(GATE, BRIGHT, share_of_rows(ratio[known] > TOLERANCE, pixel), (0.0, limits.max_brighter))


def _flux(table: pa.Table, name: str) -> Floats:
    """Nanomaggies of a column of magnitudes."""
    return np.asarray(10 ** (0.4 * (22.5 - numbers(table, name))))


def verdict(what: str, estimate: Estimate, told: str, limits: Limits) -> Check:
    """Arcs or embedding: missed where the whole interval is above the limit; the note says what they are good for.

    `told` of the check says whether the interval lies on one side of the limit.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    limit = auc_limit(limits.usable)
    if value is None:
        note = "nothing to compare: no values in one class"
        return Check(GATE, what, False, None, limit=limit, n=estimate.n, note=note)
    if value <= limits.realistic:
        note = "realistic"
    elif value <= limits.usable:
        note = f"usable; tell most: {told}"
    else:
        note = f"completeness is conditional on this source model; tell most: {told}"
    least, most = value if low is None else low, value if high is None else high
    is_told = least > limits.usable or most <= limits.usable
    return Check(GATE, what, least <= limits.usable, value, low, high, limit, estimate.n, note=note, told=is_told)


def _reference(what: str, rows: _Rows, first: NDArray[np.bool_], limits: Limits) -> Iterator[Check]:
    """What the classifier tells between two parts of one class; reported."""
    one = np.zeros(len(rows.ids))
    for name in (ARTEFACTS, ARCS):
        estimate = Estimate(None)
        if min(first.sum(), (~first).sum()) > 0:
            score, fold = classifier.out_of_fold(
                rows.values[name], first, one + 1, rows.pixel, folds=limits.folds, seed=limits.seed
            )
            estimate = auc_within(score, first, fold, rows.pixel, fitted=True)
        yield checks.meets(GATE, f"reference, {what}: AUC of {name}", estimate, None)


def _auc(
    rows: _Rows, values: Floats, is_lens: NDArray[np.bool_], lens: Ints, partner: Ints, limits: Limits
) -> Estimate:
    """AUC over matched pairs of the classifier's score, fitted without the row's HEALPix pixel."""
    _, first, partners = np.unique(lens, return_inverse=True, return_counts=True)
    share = np.bincount(partner, 1.0 / partners[first], len(rows.ids)).astype(float)
    share[np.unique(lens)] = 1.0
    used = np.flatnonzero(share)
    score = np.full(len(rows.ids), np.nan)
    score[used], _ = classifier.out_of_fold(
        values[used], is_lens[used], share[used], rows.pixel[used], folds=limits.folds, seed=limits.seed
    )
    return auc_of_pairs(score, lens, partner, rows.pixel, fitted=True)


def _telling(values: Floats, names: list[str], lens: Ints, partner: Ints, pixel: Ints) -> str:
    """The five features whose own AUC is farthest from one half, with it."""
    each = [
        (auc_of_pairs(column, lens, partner, pixel).value, name) for column, name in zip(values.T, names, strict=True)
    ]
    known = sorted(((abs(value - 0.5), name, value) for value, name in each if value is not None), reverse=True)
    return ", ".join(f"{name} {value:.2f}" for _, name, value in known[:TOLD_MOST])


def features(survey: Survey) -> dict[str, list[str]]:
    """Columns of each kind: artefacts of the pixels, and features of the arcs but for the magnitudes matched."""
    names = observables.names(survey)
    matched = [f"obs_mag_{band}" for band in survey.bands]
    return {
        ARTEFACTS: [name for name in names if name.startswith("art_")],
        ARCS: [name for name in names if name.startswith("obs_") and name not in matched],
    }


def _observed(table: pa.Table, survey: Survey) -> bool:
    """Whether a table has any observables: hosts need none to be fitted."""
    return bool(set(observables.names(survey)) & set(table.column_names))


def _read(table: pa.Table, where: str, survey: Survey) -> _Rows:
    """The rows of a table; InputError for columns that it lacks."""
    kinds = features(survey)
    magnitudes = [f"obs_mag_{band}" for band in survey.bands]
    schema.require(table, "galaxy_id", "healpix_128", *kinds[ARTEFACTS], *kinds[ARCS], *magnitudes, where=where)
    pixel = numbers(table, "healpix_128")
    if not np.isfinite(pixel).all():
        raise InputError(
            f"{where}: healpix_128 is unknown for {int((~np.isfinite(pixel)).sum())} rows", "leave them out"
        )
    values = {
        kind: np.stack([numbers(table, name) for name in names], axis=1).reshape(len(pixel), len(names))
        for kind, names in kinds.items()
    }
    if results.EMBEDDING in table.column_names:
        values[EMBEDDING] = embeddings.of(table, where)
    mag = {band: numbers(table, f"obs_mag_{band}") for band in survey.bands}
    colours = [mag[bluer] - mag[redder] for bluer, redder in survey.colours]
    place = np.stack([mag[survey.depth_band], *colours], axis=1)
    return _Rows(texts(table, "galaxy_id"), pixel.astype(np.int64), place, values)


def _lenses(table: pa.Table) -> NDArray[np.bool_]:
    return np.isin(texts(table, "tier"), ("A", "B"))


def _plain(table: pa.Table) -> NDArray[np.bool_]:
    """Rows that are no control and no variation."""
    plain = np.ones(table.num_rows, bool)
    for name in ("control", "vary"):
        if name in table.column_names:
            plain &= texts(table, name) == ""
    return plain


def _as_lenses_hosts(table: pa.Table, seed: int) -> NDArray[np.bool_]:
    """Rows that are kept so that hosts are like those of lenses: each host with a chance in proportion to its weight.

    The chance is that of the host, so that injections of a host stay or go together.
    """
    if "host_weight" not in table.column_names:
        return np.ones(table.num_rows, bool)
    weight = np.nan_to_num(numbers(table, "host_weight"))
    hosts = texts(table, "host_id" if "host_id" in table.column_names else "galaxy_id")
    drawn = np.array([int(sampling_rule.draw_key("thin", _host(id), seed)[:13], 16) / 16**13 for id in hosts.tolist()])
    return np.asarray(drawn.reshape(-1) * weight.max(initial=0.0) < weight)


def _host(id: str) -> str:
    """The host of an injection, by its galaxy_id."""
    return id.partition("#")[0]


def _joined(one: _Rows, other: _Rows) -> _Rows:
    shared = [name for name in one.values if name in other.values]
    if EMBEDDING in shared and one.values[EMBEDDING].shape[1] != other.values[EMBEDDING].shape[1]:
        raise InputError("real lenses and injections have embeddings of other lengths", "score both by one model")
    return _Rows(
        np.concatenate([one.ids, other.ids]),
        np.concatenate([one.pixel, other.pixel]),
        np.concatenate([one.place, other.place]),
        {name: np.concatenate([one.values[name], other.values[name]]) for name in shared},
    )


def _half(ids: NDArray[np.str_], seed: int) -> NDArray[np.bool_]:
    """Whether a row is in the first half: by its host, so that rows of one host stay together."""
    return np.array([sampling_rule.draw_key("half", _host(id), seed) < "8" for id in ids.tolist()], bool)
