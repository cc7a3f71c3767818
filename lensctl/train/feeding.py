"""The cutouts that a training reads: each is checked once before it starts, and kept where there is room."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.reporter import Progress, nothing
from lensctl.learning.data import dataloader, normalise
from lensctl.learning.data.augment import BLUR_REACH_PX
from lensctl.learning.data.dataloader import READ_ROWS, Feed, Pixels
from lensctl.learning.data.row_selection import NAN, RowSelection, refuse_one_class
from lensctl.learning.training.settings import BALANCED, Resources, TrainConfig
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from lensctl.learning.data.normalise import Normalisation
    from lensctl.learning.data.row_selection import Rows
    from lensctl.rules.survey import Survey


@dataclass(frozen=True)
class Feeds:
    """What a run reads: training and validation, without rows that have NaN, and the normalisation of training.

    `place` says where the pixels are kept, and why.
    """

    training: Feed
    validation: Feed
    selection: RowSelection
    normalisation: Normalisation
    place: str


def read_cutouts(
    pixels: Pixels,
    selection: RowSelection,
    scored_later: NDArray[np.int64],
    config: TrainConfig,
    survey: Survey,
    device: torch.device,
    resources: Resources,
    advance: Progress = nothing,
) -> Feeds:
    """Read and check every cutout that a run needs.

    Parameters
    ----------
    selection : RowSelection
        Rows of training and validation; their pixels are kept.
    scored_later : (n,) int64
        Manifest rows that are read only once the weights are there: now they are checked, and not kept.
    survey : Survey
        Its bands are those of the cutouts.
    advance : callable
        Called with the number of cutouts just read, and with how many there are to read.

    Raises
    ------
    InputError
        Cutouts smaller than the crop, of other bands, or changed since the manifest was written; a class without rows.
    """
    _, side, _, planes = pixels.read(selection.train.at[:1]).shape
    if side < config.crop:
        raise InputError(f"cutouts of {side} px are smaller than the crop of {config.crop} px", "use a smaller --crop")
    if planes != len(survey.bands):
        named = ", ".join(survey.bands)
        raise InputError(f"cutouts of {planes} bands, survey {survey.name} has {named}", "name theirs with --survey")
    place = dataloader.choose_place(
        _pixels(selection, config, side) * planes, device, resources.host_bytes, asked=resources.feed
    )
    training = Feed(pixels, selection.train, _window(config, side), place, device)
    validation = Feed(pixels, selection.val, config.crop, place, device)
    to_read = len(selection.train) + len(selection.val) + len(scored_later)
    advance = functools.partial(advance, total=to_read)
    blocks = _counted(training.fill(), advance)
    normalisation = normalise.fit(config.normalise, config.crop, blocks)
    for _ in itertools.chain(blocks, _counted(validation.fill(), advance)):
        pass
    for start in range(0, len(scored_later), READ_ROWS):
        advance(len(pixels.read(scored_later[start : start + READ_ROWS])))
    selection = _without_nan(selection, training, validation)
    training.rows = smoothed(weighted(training.rows, config.pos_weight), config.label_smoothing)
    return Feeds(training, validation, selection, normalisation, place.reason)


def _window(config: TrainConfig, side: int) -> int:
    """Pixels per side that training needs: the crop plus a margin for shifts and blur."""
    reach = config.shift + (BLUR_REACH_PX if config.blur else 0)
    return min(side, config.crop + 2 * reach)


def _pixels(selection: RowSelection, config: TrainConfig, side: int) -> int:
    return len(selection.train) * _window(config, side) ** 2 + len(selection.val) * config.crop**2


def _counted(blocks: Iterator[NDArray[np.float32]], advance: Callable[[int], None]) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        advance(len(block))
        yield block


def _without_nan(selection: RowSelection, training: Feed, validation: Feed) -> RowSelection:
    """The selection without rows that have NaN in the crop."""
    lost = len(selection.train) + len(selection.val) - len(training.rows) - len(validation.rows)
    left_out = +(selection.left_out + Counter({NAN: lost}))
    finite = replace(selection, train=training.rows, val=validation.rows, left_out=left_out)
    refuse_one_class(finite)
    return finite


def weighted(rows: Rows, pos_weight: float | str) -> Rows:
    """The rows, with the weight of lenses multiplied by `pos_weight`."""
    is_lens = rows.label == 1
    if pos_weight == BALANCED:
        pos_weight = float(rows.weight[~is_lens].sum() / rows.weight[is_lens].sum())
    return replace(rows, weight=np.where(is_lens, rows.weight * np.float32(pos_weight), rows.weight))


def smoothed(rows: Rows, amount: float) -> Rows:
    """The rows, with targets nearer to one half: t (1 - amount) + amount / 2."""
    if not amount:
        return rows
    return replace(rows, target=(rows.target * (1 - amount) + amount / 2).astype(np.float32))
