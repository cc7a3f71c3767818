"""The training of a network: epoch by epoch, from cutouts to weights."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, extend, step_input, to_list
from lensctl.io.storage import resumable
from lensctl.learning.data import dataloader, normalise
from lensctl.learning.data.augment import BLUR_REACH_PX
from lensctl.learning.data.dataloader import Batch, Feed, Pixels
from lensctl.learning.data.row_selection import NAN, Fold, RowSelection, refuse_one_class, select_rows
from lensctl.learning.networks import architectures, checkpoint, predict
from lensctl.learning.networks.checkpoint import BEST, ModelCard
from lensctl.learning.networks.golden import save_golden_inputs
from lensctl.learning.randomness import seed_of
from lensctl.learning.training.distributed import ALONE, Team
from lensctl.learning.training.early_stopping import RedFlag, judge_epoch
from lensctl.learning.training.epoch_metrics import epoch_metrics, refuse_nan, refuse_unsound
from lensctl.learning.training.learner import Learner, Schedule, StepResult, precision_of
from lensctl.learning.training.run_folder import RunFolder, gather_members, state_of
from lensctl.learning.training.settings import BALANCED, Resources, TrainConfig
from lensctl.rules.errors import InputError
from lensctl.rules.split import SEED
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain
    from lensctl.learning.data.row_selection import Rows, RowSelection


@dataclass(frozen=True)
class TrainProgress:
    """A finished batch (`batch` of `batches`), a finished epoch (with its `metrics`), or a message (`note`)."""

    member: int = 0
    epoch: int = 0
    batch: int = 0
    batches: int = 0
    samples: int = 0
    metrics: dict[str, Any] | None = None
    note: str = ""


def fit(
    manifest: pa.Table,
    pixels: Pixels,
    config: TrainConfig,
    run_dir: str | Path,
    *,
    manifest_name: str = "manifest.parquet",
    survey: Survey = LS_DR10,
    pixel_scale_arcsec: float | None = None,
    layers: Sequence[str] = (),
    resources: Resources = Resources(),  # noqa: B008
    team: Team = ALONE,
    resume: bool = False,
    overwrite: bool = False,
    advance: Callable[[int], None] = lambda rows: None,
) -> Iterator[TrainProgress]:
    """Train a network or an ensemble on a manifest.

    Parameters
    ----------
    manifest : pa.Table
        Made by `lensctl manifest`.
    pixels : Pixels
        Cutouts by manifest row.
    config : TrainConfig
        Hyperparameters and row selection.
    run_dir : path
        Folder to create. Until the run has finished it is `.NAME.part/whole` in the same parent folder.
    survey : Survey
        Its bands are those of the cutouts.
    pixel_scale_arcsec : float, optional
        Of the cutouts, stored with the model; the survey's if not known.
    layers : sequence of str
        Of the cutouts, stored with the model.
    resources : Resources
        Device, threads and memory to use.
    team : Team
        The processes that train together; each calls this with the same arguments, and only the leader writes files.
    resume : bool
        Continue a run with the same manifest and config; do nothing if it has finished.
    overwrite : bool
        Replace an existing folder; with `resume`, only if it holds another run.
    advance : callable
        Called with the number of cutouts just read, while they are checked before training.

    Yields
    ------
    TrainProgress

    Raises
    ------
    InputError
        Unusable input or output; early_stopping.RedFlag if training failed.
    """
    chain = chain_of(manifest, manifest_name)
    step = _step(manifest, manifest_name, chain, config, resources, survey)
    state = team.broadcast(state_of(Path(run_dir), step, resume, overwrite) if team.leads else "")
    if state == "done":
        return
    device = predict.pick_device(resources.device, resources.threads)
    fold = Fold.parse(config.fold) if config.fold else None
    scale = pixel_scale_arcsec or survey.pixel_scale_arcsec
    selection = select_rows(
        manifest,
        fold=fold,
        fold_seed=SEED,
        without_ref=config.without_ref,
        tier_b_target=config.tier_b_target,
        size_arcsec=pixels.read(np.zeros(1, np.int64)).shape[1] * scale if fold else 0.0,
        calibrate_share=config.calibrate_share,
    )
    bands = len(survey.bands)
    fresh_network(config, config.seed, resources.init, bands)
    _, side, _, planes = pixels.read(selection.train.at[:1]).shape
    if side < config.crop:
        raise InputError(f"cutouts of {side} px are smaller than the crop of {config.crop} px", "use a smaller --crop")
    if planes != bands:
        named = ", ".join(survey.bands)
        raise InputError(f"cutouts of {planes} bands, survey {survey.name} has {named}", "name theirs with --survey")
    place = dataloader.choose_place(
        _pixels(selection, config, side) * bands, device, resources.host_bytes, asked=resources.feed
    )
    training = Feed(pixels, selection.train, _window(config, side), place, device)
    validation = Feed(pixels, selection.val, config.crop, place, device)
    blocks = _counted(training.fill(), advance)
    normalisation = normalise.fit(config.normalise, config.crop, blocks)
    for _ in itertools.chain(blocks, _counted(validation.fill(), advance)):
        pass
    selection = _without_nan(selection, training, validation)
    training.rows = _weighted(training.rows, config.pos_weight)
    yield TrainProgress(note=f"{_summary(selection)}; {place.reason}")

    facts = {
        "kind": "run",
        "config": config.as_dict(),
        "manifest_digest": digests.of_table(manifest),
        "rows": {
            "train": selection.train.counts(),
            "val": selection.val.counts(),
            "calibrate": selection.calibrate,
            "left_out": dict(sorted(selection.left_out.items())),
        },
        "provenance": to_list(extend(step, chain)),
    }
    card = ModelCard(
        config.arch,
        config.crop,
        normalisation,
        config.dropout,
        survey,
        scale,
        tuple(sorted(layers)),
        fold=config.fold,
        calibrate_share=config.calibrate_share if selection.calibrate else 0.0,
    )
    with _job(run_dir, step, state, team) as job:
        run_folder = job.built if job else Path(run_dir)
        for member, folder in enumerate(checkpoint.member_folders(run_folder, config.ensemble)):
            if job:
                folder.mkdir(exist_ok=True)
            record = RunFolder(folder, card, facts, team)
            try:
                yield from _fit(member, config, resources, training, validation, record, device)
            except RedFlag as flag:
                if (folder / BEST).is_file():
                    flag.fix += f"; the best checkpoint so far is in {folder.relative_to(Path(run_dir).parent)}/"
                raise
        if job:
            if config.ensemble > 1:
                gather_members(run_folder, replace(card, members=config.ensemble), facts)
            save_golden_inputs(run_folder, manifest, pixels.read, config.crop, config.fold)
            job.finish()


def fresh_network(config: TrainConfig, seed: int, init: Path | None, bands: int = 3) -> nn.Module:
    """The initial network of a run: determined by the seed and, with `--init`, the given weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("weights", seed))
        network = architectures.build(config.arch, config.dropout, bands)
    if init is not None:
        checkpoint.initialise(network, init)
    return network


def _fit(
    member: int,
    config: TrainConfig,
    resources: Resources,
    training: Feed,
    validation: Feed,
    record: RunFolder,
    device: torch.device,
) -> Iterator[TrainProgress]:
    """Train one network, from its last checkpoint to the end."""
    team = record.team
    if record.stopped:
        return
    seed = config.seed + member
    notes: list[str] = []
    learner = Learner(
        fresh_network(config, seed, resources.init, len(record.card.bands)),
        device,
        weight_decay=config.weight_decay,
        clip=config.clip,
        precision=precision_of(device, config.amp),
        compiled=resources.compiled,
        say=notes.append,
        team=team,
    )
    position = record.restore(learner)
    if position.epoch or position.batch:
        yield TrainProgress(member, note=f"resumes after {position.epoch} epochs and {position.batch} batches")
    label = training.rows.label
    batches, size = _order(label, config, seed, 0).shape
    mine, augment = team.part(size), config.augmentation
    schedule = Schedule(config.lr, config.lr_end, config.warmup, config.epochs * batches)
    verdict = judge_epoch(position.history, config.epochs)
    record.publish(learner, position, verdict)
    if verdict.flag:
        raise verdict.flag

    while position.epoch < config.epochs and verdict.stale < config.patience:
        epoch = position.epoch
        order = _order(label, config, seed, epoch)  # (batches, B) indices of training rows; columns `mine` are ours
        before: tuple[int, Batch, StepResult] | None = None
        for i, batch in enumerate(training.batches(order[position.batch :, mine]), start=position.batch):
            # forward, backward
            purpose = (seed, epoch, i)
            augmented = augment(batch.cutouts, config.crop, *purpose, first=mine.start, of=size)  # (B, bands, S, S)
            x = record.card.normalisation(augmented)  # (B, bands, S, S), network input
            rate = schedule.at(epoch * batches + i)
            step = learner.step(x, batch.target, batch.weight, lr=rate, purpose=":".join(map(str, purpose)))
            position.losses.append(step.loss.reshape(1))
            position.logits.append(step.logits)

            # check the previous step while the device works on this one
            refuse_nan(before, epoch, training, team)
            before = (i, batch, step)
            yield from (TrainProgress(member, epoch + 1, note=notes.pop()) for _ in range(len(notes)))
            yield TrainProgress(member, epoch + 1, i + 1, batches, size)
            if resources.checkpoint_every and (i + 1) % resources.checkpoint_every == 0 and i + 1 < batches:
                refuse_nan(before, epoch, training, team)
                refuse_unsound(learner, epoch, i)
                position.batch = i + 1
                record.save(learner, position)
        refuse_nan(before, epoch, training, team)

        # validate, save a checkpoint
        val_batch = learner.micro_batch or config.batch_size
        metrics = epoch_metrics(learner, position, label[order.ravel()], validation, record.card, val_batch)
        position.end_epoch({"epoch": epoch + 1, "lr": rate, **metrics})
        verdict = judge_epoch(position.history, config.epochs)
        record.save(learner, position)
        record.publish(learner, position, verdict)
        yield TrainProgress(member, epoch + 1, batches, batches, metrics=position.history[-1], note=verdict.warning)
        if verdict.flag:
            raise verdict.flag

    reason = f"no gain for {verdict.stale} epochs" if position.epoch < config.epochs else "all epochs done"
    record.publish(learner, position, verdict, stopped=reason)
    yield TrainProgress(member, position.epoch, note=f"{reason}; best val AUC in epoch {verdict.best}")


def _order(label: NDArray[np.float32], config: TrainConfig, seed: int, epoch: int) -> NDArray[np.int64]:
    return dataloader.epoch_order(
        label,
        config.batch_size,
        seed=seed,
        epoch=epoch,
        positive_share=config.positive_share,
        samples=config.samples_per_epoch,
    )


def _step(
    manifest: pa.Table, name: str, chain: Chain, config: TrainConfig, resources: Resources, survey: Survey
) -> Step:
    inputs = [step_input("manifest", name, digests.of_table(manifest), chain)]
    if resources.init is not None:
        if not resources.init.is_file():
            raise InputError(f"{resources.init}: no such file", "give a file of weights")
        inputs.append(step_input("init", resources.init, digests.of_file(resources.init)))
    threads = {} if resources.threads is None else {"threads": resources.threads}
    return Step("train", {**config.as_dict(), **threads}, tuple(inputs), survey=survey)


def _job(run_dir: str | Path, step: Step, state: str, team: Team) -> AbstractContextManager[resumable.Job | None]:
    """The resumable job that writes the run folder; None except in the leader."""
    if not team.leads:
        return nullcontext()
    return resumable.job(run_dir, step.as_dict(), overwrite=True, afresh=state == "free")


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


def _weighted(rows: Rows, pos_weight: float | str) -> Rows:
    """The rows, with the weight of lenses multiplied by `pos_weight`."""
    is_lens = rows.label == 1
    if pos_weight == BALANCED:
        pos_weight = float(rows.weight[~is_lens].sum() / rows.weight[is_lens].sum())
    return replace(rows, weight=np.where(is_lens, rows.weight * np.float32(pos_weight), rows.weight))


def _summary(selection: RowSelection) -> str:
    parts = [
        f"{name}: {counts['positives']:,} lenses and {counts['negatives']:,} non-lenses"
        for name, counts in (("train", selection.train.counts()), ("val", selection.val.counts()))
    ]
    return "; ".join([*parts, *(f"{n:,} left out ({why})" for why, n in sorted(selection.left_out.items()))])
