"""Controls and variations of the injections, row by row beside the injections that they change."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.injection.variations import CONTROLS
from lensctl.rules.errors import InputError
from lensctl.selection.fitting.scored import logits
from lensctl.stats.fits.clustered import mean_by_pixel
from lensctl.stats.shares import share_of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.selection.fitting.fits import AtThreshold
    from lensctl.selection.fitting.scored import Injections, Scored

    Floats = NDArray[np.float64]

UNPAIRED = "wrong-host"
FAMILY = "source_model"


@dataclass(frozen=True)
class Pairs:
    """Rows of a control or variation that have a score, and the injection that each changes.

    Attributes
    ----------
    word : str
        Its name, such as grey or gain*1.5.
    where : str
    logit : (P,) float64
    row : (P,) int64
        Of the injections; -1 for all where there is none, as for other hosts.
    host_logit : (P,) float64
        Of the row's host, without an arc.
    pixel : (P,) int64
    lost : int
        Rows without a score, or without a partner that has one.
    """

    word: str
    where: str
    logit: Floats
    row: NDArray[np.int64]
    host_logit: Floats
    pixel: NDArray[np.int64]
    lost: int


def paired(part: Scored, injections: Injections, column: str, other_hosts: Scored | None = None) -> Pairs:
    """A control (`column` control) or a variation (vary) beside the injections.

    Raises
    ------
    InputError
        Rows of several or of none; of another draw than the injections, so that none, or not the parameters, are
        shared; of other hosts, which are not all among `other_hosts`.
    """
    words = sorted({str(word) for word in part.table[column].to_pylist()})
    other = "vary" if column == "control" else "control"
    if len(words) != 1 or words == [""] or {str(word) for word in part.table[other].to_pylist()} != {""}:
        shown = ", ".join(word or "none" for word in words)
        raise InputError(f"{part.where}: its rows are of {column} {shown}", f"give one table for each {column}")
    place = {id: row for row, id in enumerate(injections.table["galaxy_id"].to_pylist())}
    row = np.array([place.get(id, -1) for id in part.table["galaxy_id"].to_pylist()], np.int64)
    logit = np.asarray(part.table["logit"].to_numpy(), np.float64)
    alone = words[0] == UNPAIRED
    host_logit = _of_other_hosts(part, other_hosts) if alone else injections.numbers("logit_host")[row]
    used = np.isfinite(logit) & np.isfinite(host_logit) & (alone | (row >= 0))
    if not used.any():
        raise InputError(
            f"{part.where}: no row is of a host and number of the injections",
            "inject both with the same seed and hosts",
        )
    pixel = np.asarray(part.table["healpix_128"].to_numpy(), np.int64)
    if not alone:
        _refuse_other_draw(part, injections, np.flatnonzero(used), row[used], words[0])
    return Pairs(words[0], part.where, logit[used], row[used], host_logit[used], pixel[used], int((~used).sum()))


def _of_other_hosts(part: Scored, hosts: Scored | None) -> Floats:
    """Logit of each row's host without an arc: (N,), NaN without a score."""
    if hosts is None:
        raise InputError(
            f"{part.where}: the hosts of control {UNPAIRED} have no scores: those found without an arc are unknown",
            "give scores of their cutouts with --control-hosts",
        )
    known = dict(zip(hosts.table["galaxy_id"].to_pylist(), logits(hosts).tolist(), strict=True))
    ids = part.table["host_id"].to_pylist()
    missing = sorted({id for id in ids if id not in known})
    if missing:
        raise InputError(
            f"{part.where}: {len(missing)} hosts are not in {hosts.where}, such as {missing[0]}",
            "give scores of all of them, those without a good cutout too",
        )
    return np.array([known[id] for id in ids], np.float64)


SAME = ("lens_phi", "gamma1", "gamma2", "source_phi")
"""Columns that no control and no variation changes but `swapped`."""


def _refuse_other_draw(
    part: Scored, injections: Injections, rows: NDArray[np.int64], partners: NDArray[np.int64], word: str
) -> None:
    if word == "swapped":
        return
    for name in SAME:
        if name in part.table.column_names and name in injections.table.column_names:
            own = np.asarray(part.table[name].to_numpy(), np.float64)[rows]
            if (own != injections.numbers(name)[partners]).any():
                raise InputError(
                    f"{part.where}: {name} is not that of the injections it should be paired with",
                    "inject both with the same seed and design",
                )


def control_rows(pairs: Pairs, fit: AtThreshold) -> dict[str, Any]:
    """How often a control was detected, beside the injections that it changes, at one threshold.

    Rows whose host is detected without an arc are left out, as such injections are.

    Returns
    -------
    dict
        control, meaning, threshold, n, lost, detected, p, p_low, p_high; of the same injections unchanged p_unchanged
        and difference, difference_low, difference_high; greatest change of a logit from the host's own.
    """
    level = fit.threshold.logit
    alone = (pairs.row < 0).all() or pairs.word == UNPAIRED
    used = pairs.host_logit < level if alone else fit.kept[pairs.row]
    detected = pairs.logit[used] >= level
    share = share_of_rows(detected, pairs.pixel[used])
    told: dict[str, Any] = {
        "control": pairs.word,
        "meaning": CONTROLS.get(pairs.word, ""),
        "threshold": fit.threshold.name,
        "n": int(used.sum()),
        "lost": pairs.lost,
        "detected": int(detected.sum()),
        "p": share.value,
        "p_low": share.low,
        "p_high": share.high,
        "p_unchanged": None,
        "difference": None,
        "difference_low": None,
        "difference_high": None,
        "most_from_host": None,
    }
    if not used.any():
        return told
    told["most_from_host"] = float(np.abs(pairs.logit[used] - pairs.host_logit[used]).max())
    if alone:
        return told
    unchanged = fit.detected[pairs.row[used]]
    gap = mean_by_pixel(detected.astype(float) - unchanged, pairs.pixel[used])
    return told | {
        "p_unchanged": float(unchanged.mean()),
        "difference": gap.value,
        "difference_low": gap.low,
        "difference_high": gap.high,
    }


def sensitivity_rows(pairs: Pairs, fit: AtThreshold, p: Floats) -> dict[str, Any]:
    """How far a variation shifts the share detected at one threshold, also as a shift of the logit of p_det.

    Parameters
    ----------
    p : (N,) float64
        p_det of the injections.
    """
    used = fit.kept[pairs.row]
    row, pixel = pairs.row[used], pairs.pixel[used]
    detected = pairs.logit[used] >= fit.threshold.logit
    return _shifted(pairs.word, fit.threshold.name, detected.astype(float), fit.detected[row], p[row], pixel)


def family_rows(fit: AtThreshold, injections: Injections, p: Floats) -> list[dict[str, Any]]:
    """How far each family of sources lies from p_det, which is a mean over families: rows as of `sensitivity_rows`."""
    if FAMILY not in injections.table.column_names:
        return []
    family = np.array([str(word) for word in injections.table[FAMILY].to_pylist()], object)
    words = sorted(set(family[fit.kept]))
    found = []
    for word in words if len(words) > 1 else ():
        rows = np.flatnonzero(fit.kept & (family == word))
        name = f"{FAMILY}={word}"
        detected = fit.detected[rows].astype(float)
        found.append(_shifted(name, fit.threshold.name, detected, p[rows], p[rows], injections.pixel[rows]))
    return found


def _shifted(
    word: str, threshold: str, detected: Floats, before: NDArray[Any], p: Floats, pixel: NDArray[np.int64]
) -> dict[str, Any]:
    shift = mean_by_pixel(detected - before, pixel)
    slope = float((p * (1 - p)).mean()) if len(p) else 0.0
    return {
        "vary": word,
        "group": group_of(word),
        "threshold": threshold,
        "n": len(p),
        "p_standard": float(np.mean(before)) if len(p) else None,
        "p_varied": float(detected.mean()) if len(p) else None,
        "shift": shift.value,
        "shift_low": shift.low,
        "shift_high": shift.high,
        "logit_shift": None if shift.value is None or not slope else shift.value / slope,
    }


def group_of(word: str) -> str:
    """The assumption that a variation changes: both ways of changing one are of one group."""
    named = re.match(r"source_model|psf-beta|[a-z]+(?:-[a-z]+)?", word)
    return named[0] if named else word


def systematic(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Shift of the logit of p_det that assumptions may make: the greatest of each group, added in quadrature.

    p_sys of a lens is p (1 - p) times it. None where nothing was varied.
    """
    greatest: dict[str, float] = {}
    for row in rows:
        if row["logit_shift"] is not None:
            greatest[row["group"]] = max(greatest.get(row["group"], 0.0), abs(row["logit_shift"]))
    return math.sqrt(sum(value**2 for value in greatest.values())) if greatest else None
