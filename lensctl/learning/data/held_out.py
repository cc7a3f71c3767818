"""Whether scored rows are held out: of a model that is known, of no sky that it has seen, and of what draw they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.provenance.steps import last_step
from lensctl.learning.data.row_selection import Fold
from lensctl.rules import schema, split
from lensctl.rules.derived import UNIFORM
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain, Step
    from lensctl.rules.survey import Survey

DRAW = "draw it by `lensctl sample --uniform N --where \"split = 'test'\"`"


def refuse_other_model(where: str, chain: Chain, of_scores: Chain) -> None:
    """Raise InputError unless scores of a uniform draw are of the model of other scores, by the provenance of both."""
    here, there = (model_of(of) for of in (of_scores, chain))
    if here is None or here != there:
        known = "no model that is known" if there is None else f"another model ({there[:19]}…)"
        raise InputError(
            f"{where}: the scores are of {known}, not of the model that is evaluated",
            "score the uniform draw with the model of SCORES, by `lensctl score`",
        )


def model_of(chain: Chain) -> str | None:
    """Digest of the model that made scores; None if their provenance does not say."""
    step = last_step(chain, "score")
    model = step.input("model") if step else None
    return model.digest if model else None


def condition_of_draw(chain: Chain) -> str | None:
    """The condition, such as `split = 'test'`, of the draw that rows are of; None if there was none."""
    step = _behind(chain, "sample")
    where = step.parameters.get("where") if step else None
    return None if where is None else str(where)


def criteria_of_pool(chain: Chain) -> dict[str, str] | None:
    """Texts of the criteria of the pool that rows were drawn from, by name; None if their provenance does not say."""
    step = _behind(chain, "pool")
    criteria = step.parameters.get("criteria") if step else None
    return {str(k): str(v) for k, v in criteria.items()} if isinstance(criteria, Mapping) else None


def _behind(chain: Chain, command: str) -> Step | None:
    """The nearest step of a command behind what was scored; those behind the model that scored it are others."""
    by_id = {step.id: step for step in chain}
    scored = last_step(chain, "score")
    todo, seen = [scored] if scored else [], set[str]()
    for step in todo:  # grows
        if step.command == command:
            return step
        behind = [source.step for source in step.inputs if source.role != "model" and source.step not in seen]
        seen.update(filter(None, behind))
        todo += [by_id[id] for id in behind if id in by_id]
    return None


def labelled_lens(table: pa.Table, where: str) -> pa.Array:
    """Rows of a scored manifest that are labelled as lenses."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "label" not in table.column_names:
        return pa.array(np.zeros(table.num_rows, bool))
    schema.require_numbers(table, "label", where=where)
    return pc.fill_null(pc.not_equal(table["label"], 0), False).combine_chunks()


def refuse_other_draw(rows: pa.Table, chain: Chain, where: str) -> None:
    """Raise InputError unless every row is known to be of a uniform draw: by its tier, or by the provenance."""
    import pyarrow.compute as pc

    if not rows.num_rows:
        raise InputError(f"{where}: no row is a negative", DRAW)
    if "tier" in rows.column_names:
        others = rows["tier"].filter(pc.fill_null(pc.not_equal(rows["tier"].cast("string"), UNIFORM), True))
        if len(others):
            raise InputError(
                f"{where}: {len(others):,} rows are of tier {others[0].as_py()}, and those of a uniform draw of "
                f"{UNIFORM}",
                DRAW,
            )
        return
    drawn = _behind(chain, "sample")
    if drawn is None or not drawn.parameters.get("uniform"):
        raise InputError(f"{where}: nothing says that its rows are a uniform draw (tier {UNIFORM})", DRAW)


def splits_of_model(pixel: NDArray[np.int64], chain: Chain, survey: Survey) -> NDArray[np.str_]:
    """Split of each pixel by the rule of the model: the survey's, or that of the fold it was trained on."""
    train = last_step(chain, "train")
    fold = train.parameters.get("fold") if train else None
    return splits_by(pixel, Fold.parse(str(fold)) if fold else None, survey)


def splits_by(pixel: NDArray[np.int64], fold: Fold | None, survey: Survey) -> NDArray[np.str_]:
    """Split of each pixel by a fold, whose seed is the same for every survey, or by the survey's rule."""
    if fold is not None:
        return fold.splits(pixel, split.SEED)
    return split.splits_of(pixel, survey.split_seed, survey.split_edges)


def refuse_known(known: Mapping[str, NDArray[np.bool_]], rows: int, where: str) -> None:
    """Raise InputError with the number of rows that the model may know, or that lie near a lens.

    Parameters
    ----------
    known : mapping
        (N,) bool of each reason to refuse a row.
    """
    said = [f"{int(mask.sum()):,} {what}" for what, mask in known.items() if mask.any()]
    if said:
        raise InputError(
            f"{where}: of {rows:,} rows {', '.join(said)}",
            f"{DRAW}, with --positives TABLE and --lenses CATALOG, and score that",
        )
