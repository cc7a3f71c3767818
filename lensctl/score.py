"""Scoring: apply a model to every cutout of a manifest or a store, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.provenance.steps import common_survey
from lensctl.learning.data.dataloader import read_ahead
from lensctl.learning.data.row_selection import NAN, NOT_OK, refold
from lensctl.learning.networks import predict
from lensctl.learning.networks.checkpoint import ScoringModel, fold_of
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.split import SEED

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.cutouts.by_manifest import Origin
    from lensctl.io.provenance.steps import Chain
    from lensctl.rules.survey import Survey

SCALE_TOLERANCE = 0.01
BLOCK_ROWS = 256
"""Rows read together while the previous block is scored; more if the batch is larger."""

Read = Callable[["NDArray[np.int64]"], "NDArray[np.float32]"]
"""(n,) row numbers to (n, crop, crop, bands) float32 in nanomaggies, in the order given."""


@dataclass(frozen=True)
class Scores:
    """The table with `logit`, `p` and `logit_0`, `logit_1`, ...; counts of rows without a score by reason."""

    rows: pa.Table
    left_out: Counter[str]


def refuse_other_cutouts(
    model: ScoringModel, chains: Sequence[Chain], origin: Origin, survey: Survey | str | None
) -> Survey:
    """The survey of cutouts to be scored; InputError if the model was trained on another, on other layers or pixels.

    Parameters
    ----------
    chains : sequence of Chain
        Provenance of the table and of the cutouts.
    origin : Origin
        Layers and pixel scales of the cutouts.
    survey : Survey or str, optional
        Of cutouts whose provenance names none; default ls-dr10.
    """
    found, own = common_survey(survey, *chains), model.card
    fix = "score cutouts like those it was trained on, or train on these"
    if found != own.survey:
        raise InputError(f"the cutouts are of survey {found.name}, {model.where} was trained on {own.survey.name}", fix)
    others = sorted(set(origin.layers) - set(own.layers))
    if own.layers and others:
        raise InputError(
            f"cutouts of layer {', '.join(others)}, {model.where} was trained on {', '.join(own.layers)}", fix
        )
    for scale in origin.pixel_scales_arcsec:
        if abs(scale / own.pixel_scale_arcsec - 1) > SCALE_TOLERANCE:
            raise InputError(
                f"cutouts of {scale:.4g} arcsec per pixel, {model.where} was trained on {own.pixel_scale_arcsec:.4g}",
                fix,
            )
    return found


def score(
    model: ScoringModel,
    table: pa.Table,
    read: Read,
    *,
    device: str = "auto",
    threads: int | None = None,
    batch_size: int = 256,
    tta: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> Scores:
    """Score the rows of a manifest or of a store's index.

    Parameters
    ----------
    model : ScoringModel
    table : pa.Table
        With `cutout_ok`; all columns are kept. For a model trained on a fold, `split` is replaced by the fold's.
    read : callable
        Reads the central `crop` pixels of the given rows.
    tta : bool
        Average each logit over the eight rotations and flips.
    advance : callable
        Called with the number of rows just done.

    Returns
    -------
    Scores
        `logit` is the mean of the members' logits and `p` its logistic function, so one overconfident member cannot
        dominate as in a mean of p. Both are null for rows without a score.

    Raises
    ------
    InputError
        Missing columns, a table that already has scores, or cutouts smaller than the crop.
    """
    import pyarrow as pa

    schema.require(table, "cutout_ok", where="input")
    added = ["logit", "p", *(f"logit_{k}" for k in range(len(model.members)))]
    taken = [name for name in added if name in table.column_names]
    if taken:
        raise InputError(f"input already has a column '{taken[0]}'", "score the manifest, not its scores")
    fold = fold_of(model.card)
    if fold is not None and "split" in table.column_names:
        table = refold(table, fold, SEED)

    ok = np.asarray(table["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    left_out = Counter({NOT_OK: int((~ok).sum())})
    logits = np.full((table.num_rows, len(model.members)), np.nan)
    place = predict.pick_device(device, threads)
    networks = predict.modules(model, place)
    good = np.flatnonzero(ok)
    block_rows = max(BLOCK_ROWS, batch_size)
    blocks = [good[start : start + block_rows] for start in range(0, len(good), block_rows)]
    advance(table.num_rows - len(good))
    for rows, cutouts in read_ahead(read, blocks):
        if cutouts.shape[1] < model.card.crop:
            raise InputError(
                f"cutouts of {cutouts.shape[1]} px are smaller than the model's crop of {model.card.crop} px",
                "cut larger ones, or train with a smaller --crop",
            )
        pixels = cutouts.reshape(len(cutouts), -1)
        finite = np.isfinite(pixels.min(axis=1)) & np.isfinite(pixels.max(axis=1))  # both propagate NaN
        scorable = cutouts if finite.all() else cutouts[finite]
        block_logits = predict.logits(networks, scorable, place, batch=batch_size, tta=tta)
        if not np.isfinite(block_logits).all():
            raise InputError(
                f"{model.where}: the model returns NaN for good cutouts", "its weights are bad; train again"
            )
        logits[rows[finite]] = block_logits
        left_out[NAN] += int((~finite).sum())
        advance(len(rows))

    mean = logits.mean(axis=1)
    columns = dict(zip(added, (mean, 1.0 / (1.0 + np.exp(-mean)), *logits.T), strict=True))
    unscored = np.isnan(mean)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.float64(), mask=unscored))
    return Scores(table, +left_out)
