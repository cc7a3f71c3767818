"""Scores as arrays, with checks that reject invalid tables."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.provenance.steps import chain_of, common_survey
from lensctl.rules import schema
from lensctl.rules.derived import POOLS, UNIFORM
from lensctl.rules.errors import InputError
from lensctl.rules.split import SPLITS
from lensctl.rules.survey import Survey
from lensctl.stats.calibration import logistic

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

NEEDED = ("galaxy_id", "label", "split", "tier", "healpix_128", "logit", "p")
LENS_TIERS = ("A", "B")
ARRAYS = ("row", "is_lens", "logit", "p", "split", "tier", "pixel", "weight")
P_TOLERANCE = 1e-6

PSFSIZE_EDGES = (1.0, 1.2, 1.4, 1.6)
"""Bins of the PSF's FWHM in the depth band of ls-dr10, arcsec."""

DEPTH_EDGES = (22.0, 22.5, 23.0, 23.5)
"""Bins of the 5-sigma point-source depth in it, AB magnitudes."""


@dataclass(frozen=True)
class Scored:
    """Rows with a score, in the table's order.

    Attributes
    ----------
    table : pa.Table
        All columns of these rows.
    row : (N,) int64
        Row number in the table of scores as given.
    is_lens : (N,) bool
    logit, p : (N,) float64
    split, tier : (N,) object
    pixel : (N,) int64
        HEALPix, nside 128.
    weight : (N,) float64
        Number of pool galaxies that a row represents; 1 if unknown.
    unscored : dict
        Rows without a score, by split.
    survey : Survey
        Whose columns the table has.
    """

    table: pa.Table
    row: NDArray[np.int64]
    is_lens: NDArray[np.bool_]
    logit: NDArray[np.float64]
    p: NDArray[np.float64]
    split: NDArray[np.object_]
    tier: NDArray[np.object_]
    pixel: NDArray[np.int64]
    weight: NDArray[np.float64]
    unscored: dict[str, int]
    survey: Survey

    def __len__(self) -> int:
        return len(self.row)

    def where(self, mask: NDArray[np.bool_]) -> Scored:
        """The rows where the mask is True."""
        import pyarrow as pa

        kept = {name: getattr(self, name)[mask] for name in ARRAYS}
        return Scored(table=self.table.filter(pa.array(mask)), unscored=self.unscored, survey=self.survey, **kept)

    def take(self, order: NDArray[np.int64]) -> Scored:
        """Rows by number, in the order given."""
        kept = {name: getattr(self, name)[order] for name in ARRAYS}
        return Scored(table=self.table.take(order), unscored=self.unscored, survey=self.survey, **kept)

    def head(self, count: int) -> Scored:
        """The first rows."""
        return self.take(np.arange(min(count, len(self))))

    def of(self, split: str) -> Scored:
        """The rows of one split."""
        return self.where(self.split == split)

    def text(self, name: str) -> NDArray[np.object_]:
        """A text column; None where null or missing."""
        if name not in self.table.column_names:
            return np.full(len(self), None, dtype=object)
        return np.array(self.table[name].to_pylist(), dtype=object)

    def number(self, name: str) -> NDArray[np.float64]:
        """A numeric column; NaN where null or missing."""
        if name not in self.table.column_names:
            return np.full(len(self), np.nan)
        return np.array(self.table[name].cast("double").to_numpy(zero_copy_only=False), np.float64)

    @cached_property
    def members(self) -> NDArray[np.float64]:
        """(N, K) logits of ensemble members; (N, 0) if there are none."""
        names = [f"logit_{k}" for k in range(self.table.num_columns) if f"logit_{k}" in self.table.column_names]
        return np.stack([self.number(name) for name in names], axis=1) if names else np.empty((len(self), 0))

    @cached_property
    def category(self) -> NDArray[np.object_]:
        """Confuser category of each hard confuser; None for all other rows."""
        return _only(self.text("confuser_category"), ~self.is_lens)

    def strata(self) -> dict[str, dict[str, NDArray[np.bool_]]]:
        """Row masks by grouping column and group name.

        PSF and depth have the bins of ls-dr10 for surveys of its layer, and fifths of these rows for others. A lens
        listed in several discovery catalogues (`ref` joins them by |) belongs to each of them.
        """
        survey = self.survey
        known_bins = survey.in_legacy_surveys
        psf = self.number(survey.depth("psfsize"))
        depth_flux = self.number(survey.depth("psfdepth"))
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = 22.5 - 2.5 * np.log10(5 / np.sqrt(np.where(depth_flux > 0, depth_flux, np.nan)))
        groups = {
            "tier": self.tier,
            "type": self.text("type"),
            survey.nobs_bin: self.text(survey.nobs_bin),
            survey.depth("psfsize"): _binned(psf, PSFSIZE_EDGES if known_bins else _fifths(psf), "arcsec"),
            survey.depth("psfdepth"): _binned(depth, DEPTH_EDGES if known_bins else _fifths(depth), "mag"),
            "confuser_category": self.category,
        }
        found = {by: {name: group == name for name in set(group.tolist()) - {None}} for by, group in groups.items()}
        return {**found, "ref": _by_part(_only(self.text("ref"), self.is_lens))}


def read_scores(
    scores: pa.Table,
    where: str = "scores",
    splits: Sequence[str] = ("val", "test"),
    survey: Survey | str | None = None,
    *,
    all_rows: bool = False,
) -> Scored:
    """Read a table written by `lensctl score`; rows without a score are counted and left out.

    Each of `splits` must have at least one scored row; `survey` is that of scores whose provenance names none. With
    `all_rows` every row counts as split test, whatever its split is, if it has any.

    Raises
    ------
    InputError
        Missing columns, nulls, scores that are not numbers, duplicate ids, invalid or contradictory labels, tiers and
        splits, or no scored row in one of `splits`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if scores.num_rows and "label" not in scores.column_names and "logit" in scores.column_names:
        raise InputError(f"{where}: scores without labels", "score the manifest, not a store")
    survey = common_survey(survey, chain_of(scores, where))
    if all_rows:
        of_test = pa.array(["test"] * scores.num_rows, pa.string())
        at = scores.schema.get_field_index("split")
        scores = scores.append_column("split", of_test) if at < 0 else scores.set_column(at, "split", of_test)
        splits = ("test",)
    schema.require(scores, *NEEDED, where=where)
    schema.refuse_nulls(scores, "galaxy_id", "label", "split", "tier", "healpix_128", where=where)
    schema.refuse_duplicates(scores, where=where)
    schema.require_numbers(scores, "label", "logit", "p", "healpix_128", where=where)
    for name in ("logit", "p"):
        not_finite = pc.fill_null(pc.invert(pc.is_finite(scores[name].cast("double"))), False)
        if (count := pc.sum(not_finite).as_py() or 0) > 0:
            row = pc.index(not_finite, True).as_py()
            raise InputError(
                f"{where}: column '{name}' is not finite in {count} rows, first in row {row}",
                "the model is broken or cutouts contain NaN: see `lensctl gate pixels`",
            )
    label = scores["label"].to_numpy()
    split = np.array(scores["split"].to_pylist(), dtype=object)
    tier = np.array(scores["tier"].to_pylist(), dtype=object)
    _refuse_contradictions(label, split, tier, where)
    scored = np.asarray(pc.is_valid(scores["logit"]).to_numpy(zero_copy_only=False), bool)
    kept = scores.filter(pa.array(scored))
    schema.refuse_nulls(kept, "p", where=where)
    found = Scored(
        table=kept,
        row=np.flatnonzero(scored),
        is_lens=label[scored] == 1,
        logit=_doubles(kept, "logit"),
        p=_doubles(kept, "p"),
        split=split[scored],
        tier=tier[scored],
        pixel=np.asarray(kept["healpix_128"].to_numpy(), np.int64),
        weight=_weights(kept, label[scored] == 1, where),
        unscored={name: int(((split == name) & ~scored).sum()) for name in SPLITS},
        survey=survey,
    )
    refuse_wrong_p(found.logit, found.p, found.row, where)
    for name in splits:
        if not (found.split == name).any():
            raise InputError(
                f"{where}: no scored row has split '{name}'" if not all_rows else f"{where}: no row has a score",
                "thresholds come from val and metrics from test: score the whole manifest, or judge an outside set "
                "with --all-rows --thresholds RUN",
            )
    return found


def refuse_wrong_p(logit: NDArray[np.float64], p: NDArray[np.float64], row: NDArray[np.int64], where: str) -> None:
    """Raise InputError if p is not the logistic function of logit, or one is no finite number; `row` names rows."""
    off = np.flatnonzero(~(np.abs(p - logistic(logit)) <= P_TOLERANCE) | ~np.isfinite(logit))
    if len(off):
        raise InputError(
            f"{where}: p is not the logistic function of logit in {len(off)} rows, first in row {row[off[0]]}",
            "use the scores as written by `lensctl score`",
        )


def _doubles(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.array(table[name].cast("double").to_numpy(zero_copy_only=False), np.float64)


def _weights(table: pa.Table, is_lens: NDArray[np.bool_], where: str) -> NDArray[np.float64]:
    """Sampling weight of negatives; 1 for lenses."""
    if "sampling_weight" not in table.column_names:
        return np.ones(table.num_rows)
    unknown = table["sampling_weight"].is_null().to_numpy(zero_copy_only=False) if table.num_rows else False
    weight = np.where(is_lens | unknown, 1.0, _doubles(table, "sampling_weight"))
    if not ((weight > 0) & np.isfinite(weight)).all():
        raise InputError(f"{where}: a sampling_weight is not positive", "draw the sample again")
    return weight


def _refuse_contradictions(
    label: NDArray[np.int64], split: NDArray[np.object_], tier: NDArray[np.object_], where: str
) -> None:
    known_tiers = (*LENS_TIERS, *POOLS, UNIFORM)
    for name, values, known in (("label", label, (0, 1)), ("split", split, SPLITS), ("tier", tier, known_tiers)):
        row = next((i for i, value in enumerate(values.tolist()) if value not in known), None)
        if row is not None:
            listed = ", ".join(map(str, known))
            raise InputError(f"{where}: {name} in row {row} is {str(values[row])!r}", f"must be one of {listed}")
    contradictory = np.flatnonzero(np.isin(tier, LENS_TIERS) != (label == 1))
    if len(contradictory):
        row = contradictory[0]
        raise InputError(
            f"{where}: label {label[row]} contradicts tier {tier[row]} in row {row}",
            "tiers A and B are lenses, N0, N1 and N2 are not: score the unmodified manifest",
        )


def _fifths(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Edges between fifths of the values that are known, rounded to a tenth of their span or finer."""
    known = values[np.isfinite(values)]
    edges = np.quantile(known, (0.2, 0.4, 0.6, 0.8)) if known.size else np.zeros(1)
    span = float(np.ptp(edges))
    digits = 1 - math.floor(math.log10(span)) if span > 0 else 6
    return tuple(np.unique(edges.round(digits)).tolist())


def _binned(values: NDArray[np.float64], edges: tuple[float, ...], unit: str) -> NDArray[np.object_]:
    """Names of bins, such as "1.2-1.4 arcsec"; None where the value is NaN."""
    between = [f"{low:g}-{high:g} {unit}" for low, high in itertools.pairwise(edges)]
    names = np.array([f"< {edges[0]:g} {unit}", *between, f">= {edges[-1]:g} {unit}"], dtype=object)
    return _only(names[np.searchsorted(edges, values, side="right").clip(0, len(edges))], ~np.isnan(values))


def _only(values: NDArray[np.object_], mask: NDArray[np.bool_]) -> NDArray[np.object_]:
    """The values where the mask is True, None elsewhere."""
    kept = np.full(values.shape, None, dtype=object)
    kept[mask] = values[mask]
    return kept


def _by_part(values: NDArray[np.object_]) -> dict[str, NDArray[np.bool_]]:
    """Row masks by each part of values joined by |."""
    found: dict[str, NDArray[np.bool_]] = {}
    for row, value in enumerate(values):
        for part in filter(None, (text.strip() for text in (value or "").split("|"))):
            found.setdefault(part, np.zeros(len(values), bool))[row] = True
    return found
