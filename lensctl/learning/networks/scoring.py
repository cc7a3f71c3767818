"""The scores of a table of cutouts, block by block, by a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.learning.data.dataloader import read_ahead
from lensctl.learning.data.row_selection import NAN, NOT_OK, refold
from lensctl.learning.networks.checkpoint import ScoringModel, fold_of
from lensctl.learning.networks.scorer import Scorer
from lensctl.rules import schema
from lensctl.rules.columns.results import EMBEDDING
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
    embedding: bool = False,
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
    embedding : bool
        Add a column `embedding`; see `Scorer`.
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
    scorer = Scorer(model, device=device, threads=threads, tta=tta, embedding=embedding)
    return score_read(scorer, table, read, batch_size, advance)


def score_read(scorer: Scorer, table: pa.Table, read: Read, batch_size: int, advance: Callable[[int], None]) -> Scores:
    """`score_table` with a model that is on its device."""
    schema.require(table, "cutout_ok", where="input")
    refuse_scores(table, scorer)
    ok = np.asarray(table["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    left_out = Counter({NOT_OK: int((~ok).sum())})
    logits = np.full((table.num_rows, scorer.members), np.nan)
    features = np.zeros((table.num_rows, scorer.width), np.float32)
    good = np.flatnonzero(ok)
    block_rows = max(BLOCK_ROWS, batch_size)
    blocks = [good[start : start + block_rows] for start in range(0, len(good), block_rows)]
    advance(table.num_rows - len(good))
    for rows, cutouts in read_ahead(read, blocks):
        logits[rows], features[rows] = scorer.seen(cutouts)
        left_out[NAN] += int(np.isnan(logits[rows, 0]).sum())
        advance(len(rows))
    return Scores(with_scores(scorer.model, table, logits, features), +left_out)


def refuse_scores(table: pa.Table, scorer: Scorer, others: Sequence[str] = ()) -> None:
    """Raise InputError for a table that has columns which scoring adds."""
    added = ("logit", "p", *(f"logit_{k}" for k in range(scorer.members)), ROLE, *([EMBEDDING] * bool(scorer.width)))
    taken = [name for name in (*added, *others) if name in table.column_names]
    if taken:
        raise InputError(f"input already has a column '{taken[0]}'", "score the manifest, not its scores")


def with_scores(
    model: ScoringModel, table: pa.Table, logits: NDArray[np.float64], embedding: NDArray[np.float32] | None = None
) -> pa.Table:
    """The table with `logit`, `p`, the members' logits (N, K), and what the model took each row for.

    And `embedding`, a list of fixed length, where one of (N, E), E > 0, is given.
    """
    import pyarrow as pa

    fold = fold_of(model.card)
    if fold is not None and "split" in table.column_names:
        table = refold(table, fold, SEED)
    mean = logits.mean(axis=1)
    added = ["logit", "p", *(f"logit_{k}" for k in range(logits.shape[1]))]
    columns = dict(zip(added, (mean, 1.0 / (1.0 + np.exp(-mean)), *logits.T), strict=True))
    unscored = np.isnan(mean)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.float64(), mask=unscored))
    if embedding is not None and embedding.shape[1]:
        flat = pa.array(embedding.reshape(-1))
        lists = pa.FixedSizeListArray.from_arrays(flat, embedding.shape[1], mask=pa.array(unscored))
        table = table.append_column(EMBEDDING, lists)
    return _with_role(table, model.card.calibrate_share)


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
