"""The scores of a table of cutouts, block by block, by a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.cutouts.by_manifest import Origin
from lensctl.io.provenance.steps import Chain, common_survey
from lensctl.learning.data.dataloader import read_ahead
from lensctl.learning.data.row_selection import NAN, NOT_OK, refold
from lensctl.learning.networks import predict
from lensctl.learning.networks.checkpoint import ScoringModel, fold_of
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.split import CALIBRATE, ROLE, SEED, calibrates
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BLOCK_ROWS = 256
"""Rows read together while the previous block is scored; more if the batch is larger."""

EMBEDDING = "embedding"
SCALE_TOLERANCE = 0.01

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

    schema.require(table, "cutout_ok", where="input")
    refuse_scored(table, model, embedding=embedding)
    table = refolded(table, model)
    ok = np.asarray(table["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    left_out = Counter({NOT_OK: int((~ok).sum())})
    scorer = Scorer(model, device=device, threads=threads, tta=tta, embedding=embedding)
    good = np.flatnonzero(ok)
    logits = np.full((table.num_rows, len(model.members)), np.nan)
    features = np.zeros((table.num_rows, scorer.width), np.float32) if embedding else None
    block_rows = max(BLOCK_ROWS, batch_size)
    blocks = [good[start : start + block_rows] for start in range(0, len(good), block_rows)]
    advance(table.num_rows - len(good))
    for rows, cutouts in read_ahead(read, blocks):
        logits[rows], seen = scorer.score(cutouts)
        if features is not None:
            features[rows] = seen
        left_out[NAN] += int(np.isnan(logits[rows, 0]).sum())
        advance(len(rows))
    for name, values in columns_of(logits, features).items():
        table = table.append_column(name, values)
    return Scores(with_role(table, model), +left_out)


def refuse_scored(table: pa.Table | pa.Schema, model: ScoringModel, *, embedding: bool) -> None:
    """Raise InputError for a table that already has a column of those that scoring adds."""
    names = set(table.column_names if hasattr(table, "column_names") else table.names)
    added = ["logit", "p", *(f"logit_{k}" for k in range(len(model.members))), ROLE, *([EMBEDDING] * embedding)]
    taken = [name for name in added if name in names]
    if taken:
        raise InputError(f"input already has a column '{taken[0]}'", "score the manifest, not its scores")


def refolded(table: pa.Table, model: ScoringModel) -> pa.Table:
    """The table with the split of the model's fold, if it was trained on one."""
    fold = fold_of(model.card)
    return refold(table, fold, SEED) if fold is not None and "split" in table.column_names else table


class Scorer:
    """A model on a device, that scores blocks of cutouts.

    Parameters
    ----------
    model, device, threads, tta
        See `score_table`.
    embedding : bool
        Give what enters the last layer too: of an ensemble the members' one after the other, because they have no axes
        in common.
    """

    def __init__(
        self,
        model: ScoringModel,
        *,
        device: str = "auto",
        threads: int | None = None,
        tta: bool = False,
        embedding: bool = False,
    ) -> None:
        self.model, self.tta = model, tta
        self.place = predict.pick_device(device, threads)
        self.networks = predict.modules(model, self.place)
        self.width = sum(predict.last_layer(network).in_features for network in self.networks) if embedding else 0
        """Length of an embedding; 0 if none is wanted."""

    def score(self, cutouts: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32] | None]:
        """Logits (N, K) of (N, M, M, bands) nanomaggies, and embeddings (N, width) or None; NaN for cutouts with NaN.

        Raises InputError for cutouts smaller than the crop or of other bands, and for a model that returns NaN.
        """
        model = self.model
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
        logits = np.full((len(cutouts), len(model.members)), np.nan)
        features = np.full((len(cutouts), self.width), np.nan, np.float32) if self.width else None
        if features is None:
            logits[finite] = predict.logits(self.networks, scorable, self.place, tta=self.tta)
        else:
            logits[finite], features[finite] = predict.logits_and_embedding(
                self.networks, scorable, self.place, tta=self.tta
            )
        if not np.isfinite(logits[finite]).all():
            raise InputError(
                f"{model.where}: the model returns NaN for good cutouts", "its weights are bad; train again"
            )
        return logits, features


def columns_of(logits: NDArray[np.float64], embedding: NDArray[np.float32] | None = None) -> dict[str, pa.Array]:
    """`logit`, `p`, `logit_0`, ... and `embedding`, a list of fixed length, of (N, K) logits; null where these are NaN.

    `embedding` is (N, E) float32.
    """
    import pyarrow as pa

    mean = logits.mean(axis=1)
    unscored = np.isnan(mean)
    values = {"logit": mean, "p": 1.0 / (1.0 + np.exp(-mean))}
    values |= {f"logit_{k}": each for k, each in enumerate(logits.T)}
    columns = {name: pa.array(each, pa.float64(), mask=unscored) for name, each in values.items()}
    if embedding is not None:
        flat = pa.array(embedding.reshape(-1))
        columns[EMBEDDING] = pa.FixedSizeListArray.from_arrays(flat, embedding.shape[1], mask=pa.array(unscored))
    return columns


def with_role(table: pa.Table, model: ScoringModel) -> pa.Table:
    """The table with what the model took each row for: its split, but `calibrate` for val that stopped nothing."""
    import pyarrow as pa

    if not {"split", "healpix_128"} <= set(table.column_names):
        return table
    role = np.array(table["split"].to_pylist(), dtype=object)
    if model.card.calibrate_share:
        pixel = table["healpix_128"].to_numpy()
        role[(role == "val") & calibrates(pixel, model.card.calibrate_share)] = CALIBRATE
    return table.append_column(ROLE, pa.array(role.tolist(), pa.string()))


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
        if not abs(scale / own.pixel_scale_arcsec - 1) <= SCALE_TOLERANCE:
            raise InputError(
                f"cutouts of {scale:.4g} arcsec per pixel, {model.where} was trained on {own.pixel_scale_arcsec:.4g}",
                fix,
            )
    return found
