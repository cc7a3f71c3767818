"""The splits gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import geometry
from lensctl.comparing.arrays import integers, numbers, texts
from lensctl.gates.classes import NAMES, NEGATIVE, POSITIVE, labels_of
from lensctl.gates.registry import gate, setting, split_share
from lensctl.rules import checks, schema, split
from lensctl.rules.sampling_rule import SAME_OBJECT_ARCSEC
from lensctl.rules.survey import LS_DR10
from lensctl.stats.pixel_shares import shares_of_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.gates.inputs import Inputs
    from lensctl.rules.checks import Check
    from lensctl.rules.survey import Survey

GATE = "splits"


@dataclass(frozen=True)
class Settings:
    """Limits of the splits gate."""

    train: tuple[float, float] = split_share("train")
    val: tuple[float, float] = split_share("val")
    test: tuple[float, float] = split_share("test")
    same_arcsec: float = setting(SAME_OBJECT_ARCSEC, "rows closer than this are the same object, arcsec", least=0)
    cutout_arcsec: float = setting(
        LS_DR10.cutout_arcsec,
        "side of a cutout, arcsec; those of the manifest's positives and negatives where they are recorded",
        least=0,
        of=lambda survey: survey.cutout_arcsec,
    )
    seed: int = setting(LS_DR10.split_seed, "seed of the split rule", of=lambda survey: survey.split_seed)


@dataclass(frozen=True)
class _Rows:
    """Columns of all tables combined: (N,) arrays."""

    ids: NDArray[np.str_]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    split: NDArray[np.str_]
    pixel: NDArray[np.int64]
    pixel_known: NDArray[np.bool_]
    label: NDArray[np.int8]

    def shown(self, rows: NDArray[np.int64]) -> list[str]:
        """A few rows as `galaxy_id (split)`."""
        return [f"{self.ids[i]} ({self.split[i] or 'null'})" for i in rows[: checks.OFFENDERS_SHOWN]]


@gate(GATE, inputs="MANIFEST or TABLE...", settings=Settings)
def splits(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """The split rule is followed, split fractions are within limits, no object is there twice, no sky in two splits.

    Fractions are judged by an interval over HEALPix pixels, because the rule deals out whole pixels. With fewer than 12
    (in effect) they are judged by their value.

    Rows with a failed cutout are checked too. Pixels are recomputed from ra and dec; a wrong stored pixel is a
    separate failure.
    """
    rows = _read(inputs)
    n = len(rows.ids)
    yield checks.some(GATE, "rows", n)
    if not n:
        return
    no_split = np.flatnonzero(~np.isin(rows.split, split.SPLITS))
    yield checks.none(GATE, "split is train, val or test", rows.shown(no_split), n, len(no_split))
    no_pixel = np.flatnonzero(~rows.pixel_known)
    yield checks.none(GATE, "healpix_128 is a pixel", rows.shown(no_pixel), n, len(no_pixel))
    pixel = split.healpix(rows.ra, rows.dec)
    every_class = any("label" in table.column_names for table in inputs.tables)
    yield from _shares(rows, pixel, limits, every_class=every_class)
    yield from _rule(rows, pixel, limits, inputs.survey)
    yield from _shared(rows, pixel, limits, _sides(rows, limits, inputs))


def _read(inputs: Inputs) -> _Rows:
    parts = []
    for name, table in inputs.named_tables():
        schema.require(table, "galaxy_id", "ra", "dec", "split", "healpix_128", where=name)
        schema.refuse_bad_positions(table, name)
        ra, dec = numbers(table, "ra"), numbers(table, "dec")
        pixel, known = integers(table, "healpix_128")
        parts.append((texts(table, "galaxy_id"), ra, dec, texts(table, "split"), pixel, known, labels_of(table)))
    return _Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _shares(rows: _Rows, pixel: NDArray[np.int64], limits: Settings, every_class: bool) -> Iterator[Check]:
    """Fractions of the splits over all rows and per class; a manifest must have both classes."""
    parts = {"all rows": np.ones(len(rows.ids), bool)}
    parts |= {name: rows.label == label for label, name in NAMES.items()}
    judged = {what: mask for what, mask in parts.items() if mask.any() or every_class}
    for what, found in shares_of_groups(pixel, rows.split, split.SPLITS, judged).items():
        for name, estimate in found.parts.items():
            check, bounds = f"{name} share of {what}", getattr(limits, name)
            yield checks.split_share(GATE, check, estimate, bounds, name, found.pixels, found.effective)


def _sides(rows: _Rows, limits: Settings, inputs: Inputs) -> NDArray[np.float64]:
    """Side of each row's cutout, arcsec: the one set, else the one recorded for its class, else the survey's."""
    recorded = inputs.cutout_arcsec
    if not recorded or limits.cutout_arcsec != inputs.survey.cutout_arcsec:
        return np.full(len(rows.ids), limits.cutout_arcsec)
    largest = max(recorded.values())
    sides = {label: recorded.get(label, largest) for label in (NEGATIVE, POSITIVE)}
    return np.select([rows.label == label for label in sides], list(sides.values()), largest)


def _rule(rows: _Rows, pixel: NDArray[np.int64], limits: Settings, survey: Survey) -> Iterator[Check]:
    """Stored pixels and splits follow the split rule."""
    n = len(rows.ids)
    mismatched = np.flatnonzero(pixel != rows.pixel)
    yield checks.none(GATE, "healpix_128 is that of ra, dec", rows.shown(mismatched), n, len(mismatched))

    of_rule = split.splits_of(pixel, limits.seed, survey.split_edges)
    mismatched = np.flatnonzero(of_rule != rows.split)
    yield checks.none(
        GATE,
        "split is that of the rule",
        rows.shown(mismatched),
        n,
        len(mismatched),
        _diagnosis(rows, mismatched, pixel, limits.seed, survey),
    )


def _diagnosis(rows: _Rows, mismatched: NDArray[np.int64], pixel: NDArray[np.int64], seed: int, survey: Survey) -> str:
    """Message for a recognised fault; empty if none is recognised."""
    if not len(mismatched):
        return ""
    if (_alphabetical(pixel, seed, survey) == rows.split).all():
        return "the splits were assigned in alphabetical order: test, train, val"
    if (rows.label[mismatched] == POSITIVE).all() and (rows.label != POSITIVE).any():
        return "only positives: they were split by a different rule than the negatives"
    return ""


def _alphabetical(pixel: NDArray[np.int64], seed: int, survey: Survey) -> NDArray[np.str_]:
    """The split rule with splits assigned in alphabetical order, a fault seen in practice."""
    names = sorted(survey.split_fractions)
    edges = np.cumsum([survey.split_fractions[name] for name in names])
    edges[-1] = 1.0
    return split.splits_of(pixel, seed, dict(zip(names, edges.tolist(), strict=True)))


def _shared(
    rows: _Rows, pixel: NDArray[np.int64], limits: Settings, cutout_arcsec: NDArray[np.float64]
) -> Iterator[Check]:
    """No object is there twice; no pixel, id or sky area is in two splits."""
    n = len(rows.ids)
    yield checks.none(GATE, "no pixel in two splits", _in_two(pixel, rows.split), n)
    yield checks.none(GATE, "no galaxy_id in two splits", _in_two(rows.ids, rows.split), n)

    i, j, _ = geometry.pairs_among(rows.ra, rows.dec, limits.same_arcsec)
    note = "one object under two ids narrows every interval: `lensctl manifest` keeps one row of it"
    yield _no_pair(rows, f"no two rows within {limits.same_arcsec:g} arcsec", i, j, note)

    i, j = geometry.overlapping_pairs(rows.ra, rows.dec, cutout_arcsec)
    differs = rows.split[i] != rows.split[j]
    yield _no_pair(rows, "no sky shared by cutouts of two splits", i[differs], j[differs])


def _in_two(keys: NDArray[np.int64] | NDArray[np.str_], splits: NDArray[np.str_]) -> list[str]:
    """Sorted keys whose rows are in more than one split."""
    _, key = np.unique(keys, return_inverse=True)
    names, which = np.unique(splits, return_inverse=True)
    pairs = np.unique(key * len(names) + which)
    count = np.bincount(pairs // len(names))
    return [str(k) for k in np.unique(keys)[count > 1]]


def _no_pair(rows: _Rows, check: str, i: NDArray[np.int64], j: NDArray[np.int64], note: str = "") -> Check:
    shown = [
        f"{rows.ids[a]} ({rows.split[a]}) and {rows.ids[b]} ({rows.split[b]})"
        for a, b in zip(i[: checks.OFFENDERS_SHOWN], j[: checks.OFFENDERS_SHOWN], strict=True)
    ]
    return checks.none(GATE, check, shown, len(rows.ids), len(i), note)
