"""The scores of val that a run keeps beside its weights: those that thresholds and calibration come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import stamp
from lensctl.io.tables.files import write_table
from lensctl.learning.data.row_selection import Fold, refold
from lensctl.learning.networks.checkpoint import fold_of, load_model, read_json, write_json
from lensctl.learning.networks.run_files import RUN, VAL_SCORES
from lensctl.learning.networks.scoring import score_table
from lensctl.rules.split import ROLE, SEED, for_thresholds

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.learning.data.dataloader import Pixels

SCORED = ("galaxy_id", "label", "split", "healpix_128", "cutout_ok")
NOT_KEPT = ("split", "cutout_ok", "p")


def rows_of_val(manifest: pa.Table, fold: Fold | None) -> NDArray[np.int64]:
    """Manifest rows of val whose cutout is good, of the fold's val if there is one: (n,) int64.

    Training may leave some of them out; `lensctl score` does not.
    """
    table = manifest if fold is None else refold(manifest, fold, SEED)
    good = np.asarray(table["cutout_ok"].fill_null(False).to_numpy(zero_copy_only=False), bool)
    return np.flatnonzero(good & (np.array(table["split"].to_pylist(), dtype=object) == "val"))


def keep_val_scores(
    run: Path, manifest: pa.Table, pixels: Pixels, *, device: str = "auto", threads: int | None = None
) -> int:
    """Score val with the finished weights of a run, as `lensctl score` does, and write what thresholds come from.

    run.json then has the number of rows and their digest, so that scores of other weights are not taken for them.

    Returns
    -------
    int
        Rows kept.

    Raises
    ------
    InputError
        The model returns NaN, or cutouts changed since training began.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    model = load_model(run)
    at = rows_of_val(manifest, fold_of(model.card))
    table = manifest.select([name for name in SCORED if name in manifest.column_names]).take(at)
    scores = score_table(
        model, table, lambda rows: pixels.read(at[rows], crop=model.card.crop), device=device, threads=threads
    ).rows
    scores = scores.filter(pc.is_valid(scores["logit"]))
    role = scores[ROLE if ROLE in scores.column_names else "split"].to_pylist()
    kept = scores.filter(pa.array(for_thresholds(np.array(role, dtype=object))))
    kept = kept.drop_columns(list(NOT_KEPT)).sort_by("galaxy_id")
    write_table(stamp(kept, model.chain), str(run / VAL_SCORES), overwrite=True)
    facts = read_json(run / RUN)
    rows = int(kept.num_rows)
    write_json(run / RUN, {**facts, "val_scores": {"rows": rows, "digest": digests.of_table(kept)}})
    return rows
