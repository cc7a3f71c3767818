"""Tables of scores of galaxies whose cutouts are cut from coadds, brick by brick, and not kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.cutouts.by_manifest import Origin
from lensctl.io.imaging.bricks import BRICK_COLUMN
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.imaging.streaming import CutBlock, CutTask, Window, cut_blocks, scored_blocks
from lensctl.learning.networks.scorer import Scorer, refuse_other_cutouts
from lensctl.learning.networks.scoring import Scores, refuse_scores, with_scores
from lensctl.rules.quality import OK

if TYPE_CHECKING:
    import pyarrow as pa


def score_coadds(
    scorer: Scorer,
    table: pa.Table,
    source: CoaddSource,
    *,
    advance: Callable[[int], None] = lambda done: None,
) -> Scores:
    """Score the rows of a table, brick by brick, with cutouts from coadds that are not kept.

    Parameters
    ----------
    table : pa.Table
        Checked rows (see `making.checked`); all columns are kept. `status` and `error` of each cutout are added.
    source : CoaddSource

    Raises
    ------
    InputError
        A table that already has scores, a row without a brick, coadds of other layers or pixels than the model's.
    """
    import pyarrow as pa

    refuse_scores(table, scorer, ("status", "error"))
    window = Window(source.size, scorer.model.card.crop)
    bricks = np.array([name or "" for name in source.prepare(table)[BRICK_COLUMN].to_pylist()])
    ra, dec = (np.asarray(table[name].to_numpy(), np.float64) for name in ("ra", "dec"))
    order = np.lexsort((ra, dec, bricks))
    parts = [order[k : k + window.rows_at_once] for k in range(0, len(order), window.rows_at_once)]
    tasks = (
        CutTask(number, tuple(name or None for name in bricks[at].tolist()), ra[at], dec[at])
        for number, at in enumerate(parts)
    )

    def alike(cuts: Iterable[CutBlock]) -> Iterator[CutBlock]:
        for cut in cuts:
            origin = Origin(cut.layers, cut.pixel_scales_arcsec, ())
            refuse_other_cutouts(scorer.model, (), origin, source.survey)
            yield cut

    logits = np.full((table.num_rows, scorer.members), np.nan)
    status, error = (np.full(table.num_rows, None, object) for _ in range(2))
    cuts = alike(cut_blocks(source, window.crop, tasks, source.processes))
    for cut, found in scored_blocks(cuts, scorer.member_logits, scorer.members):
        at = parts[cut.number]
        logits[at], status[at], error[at] = found, cut.status, np.array([*cut.error, None], object)[:-1]
        advance(len(at))
    table = table.append_column("status", pa.array(status.tolist(), pa.string()))
    table = table.append_column("error", pa.array(error.tolist(), pa.string()))
    left_out = Counter(text for text in status.tolist() if text != OK)
    return Scores(with_scores(scorer.model, table, logits), left_out)
