"""The scores of a table of cutouts, block by block, by a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.learning.data.dataloader import read_ahead
from lensctl.learning.data.row_selection import NAN, NOT_OK, refold
from lensctl.learning.networks import predict
from lensctl.learning.networks.checkpoint import ScoringModel, fold_of
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.split import CALIBRATE, ROLE, SEED, calibrates

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BLOCK_ROWS = 256
"""Rows read together while the previous block is scored; more if the batch is larger."""

Read = Callable[["NDArray[np.int64]"], "NDArray[np.float32]"]
"""(n,) row numbers to (n, crop, crop, bands) float32 in nanomaggies, in the order given."""


@dataclass(frozen=True)
class Scores:
    """The table with `logit`, `p` and `logit_0`, `logit_1`, ...; counts of rows without a score by reason."""

    rows: pa.Table
    left_out: Counter[str]


def score_table(
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
        Missing columns, a table that already has scores, or cutouts smaller than the crop or of other bands.
    """
    import pyarrow as pa

    schema.require(table, "cutout_ok", where="input")
    added = ["logit", "p", *(f"logit_{k}" for k in range(len(model.members)))]
    taken = [name for name in added if name in table.column_names]
    if taken:
        raise InputError(f"input already has a column '{taken[0]}'", "score the manifest, not its scores")
    if ROLE in table.column_names:
        raise InputError(f"input already has a column '{ROLE}'", "score the manifest, not its scores")
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
        if cutouts.shape[3] != len(model.card.bands):
            raise InputError(
                f"cutouts of {cutouts.shape[3]} bands, {model.where} was trained on {', '.join(model.card.bands)}",
                "score cutouts like those it was trained on",
            )
        pixels = cutouts.reshape(len(cutouts), -1)
        finite = np.isfinite(pixels.min(axis=1)) & np.isfinite(pixels.max(axis=1))  # both propagate NaN
        scorable = cutouts if finite.all() else cutouts[finite]
        block_logits = predict.logits(networks, scorable, place, tta=tta)
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
    return Scores(_with_role(table, model.card.calibrate_share), +left_out)


def _with_role(table: pa.Table, calibrate_share: float) -> pa.Table:
    """The table with what the model took each row for: its split, but `calibrate` for val that stopped nothing."""
    import pyarrow as pa

    if not {"split", "healpix_128"} <= set(table.column_names):
        return table
    role = np.array(table["split"].to_pylist(), dtype=object)
    if calibrate_share:
        pixel = table["healpix_128"].to_numpy()
        role[(role == "val") & calibrates(pixel, calibrate_share)] = CALIBRATE
    return table.append_column(ROLE, pa.array(role.tolist(), pa.string()))
