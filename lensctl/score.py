"""Scoring: apply a model to every cutout of a manifest or a store, block by block."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensctl.frozen.proof.checks import proven
from lensctl.io.cutouts.by_manifest import Cutouts, origin_of, root_of
from lensctl.io.cutouts.store import Store, is_store, open_store
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import local_folder
from lensctl.io.tables.files import read_table, refuse_rows, refuse_tables, write_table
from lensctl.learning.data.dataloader import read_ahead
from lensctl.learning.data.row_selection import NAN, NOT_OK, refold
from lensctl.learning.networks.checkpoint import FROZEN, ScoringModel, fold_of, load_model
from lensctl.learning.networks.scoring import Scorer, refuse_other_cutouts
from lensctl.learning.out_of_memory import enough_memory
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.split import CALIBRATE, ROLE, SEED, calibrates
from lensctl.rules.survey import Survey

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


def score(
    model: str | Path,
    input: str | Path,
    output: str | Path,
    *,
    survey: Survey | str | None = None,
    root: str | Path | None = None,
    tta: bool = False,
    batch_size: int = 256,
    check_pixels: bool = True,
    device: str = "auto",
    threads: int | None = None,
    key: str | Path | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Score the cutouts of a manifest or a store with a run or a frozen model, which is verified first.

    Parameters
    ----------
    model, input, output : path
        Folder of the model; manifest or store, `-` is a manifest on stdin; table to write, `-` is stdout.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the input names none.
    root : path, optional
        Folder that `cutout_path` is relative to; default the manifest's.
    tta, batch_size, device, threads
        See `score_table`.
    key : path, optional
        Public key (PEM) of the expected signer of a frozen model.
    check_pixels : bool
        Compare the pixels with the recorded `cutout_sha256`.

    Returns
    -------
    Receipt
        With rows, rows scored and left out, members and digest of the model.

    Raises
    ------
    InputError
        See `score_table` and `scoring.refuse_other_cutouts`; a model that does not verify, pixels other than those
        recorded, an existing output.
    """
    model, input, output = str(model), str(input), str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    folder = local_folder(model, "a model must be on")
    if (folder / FROZEN).exists():
        loaded = proven(folder, device=device, key=key)
    elif key is None:
        loaded = load_model(folder)
    else:
        raise InputError(f"{model}: a run is not signed, but a key is given", "score a frozen model, or omit --key")
    crop = loaded.card.crop
    if input != "-" and is_store(input):
        store = open_store(input)
        table, chain, digest, role, origin = store.index, store.chain, store.digest, "store", origin_of(store)
        reader: Store | Cutouts = store
    else:
        cutout_root = root_of(input, root)
        table = read_table(input, format=format if input == "-" else None)
        chain, digest, role = chain_of(table, input), digests.of_table(table), "manifest"
        cutouts = Cutouts(table, cutout_root)
        origin = cutouts.origin()
        reader = cutouts
    read: Read = functools.partial(reader.read, crop=crop, check=check_pixels)
    if check_pixels and reader.recorded.note:
        report.say(reader.recorded.note)
    of = refuse_other_cutouts(loaded, (chain, *origin.chains), origin, survey)
    refuse_rows(table, output, format)
    with report.progress("cutouts scored", table.num_rows) as advance, enough_memory("use --device cpu"):
        scored = score_table(
            loaded, table, read, device=device, threads=threads, batch_size=batch_size, tta=tta, advance=advance
        )
    for reason, count in sorted(scored.left_out.items()):
        report.say(f"no score for {count:,} rows: {reason}")
    inputs = (step_input("model", model, loaded.digest, loaded.chain), step_input(role, input, digest, chain))
    step = Step("score", {"tta": tta}, inputs, survey=of)
    write_table(stamp(scored.rows, extend(step, chain, loaded.chain)), output, overwrite=overwrite, format=format)
    left_out = sum(scored.left_out.values())
    return {
        "command": "score",
        "output": output,
        "rows": table.num_rows,
        "scored": table.num_rows - left_out,
        "left_out": left_out,
        "members": len(loaded.members),
        "model_digest": loaded.digest,
    }


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
    scorer = Scorer(model, device=device, threads=threads, tta=tta)
    good = np.flatnonzero(ok)
    block_rows = max(BLOCK_ROWS, batch_size)
    blocks = [good[start : start + block_rows] for start in range(0, len(good), block_rows)]
    advance(table.num_rows - len(good))
    for rows, cutouts in read_ahead(read, blocks):
        logits[rows] = scorer.member_logits(cutouts)
        left_out[NAN] += int(np.isnan(logits[rows, 0]).sum())
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
