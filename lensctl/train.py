"""Training: from a manifest and its cutouts to weights, epoch by epoch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lensctl.doors import digests, jobs, provenance
from lensctl.doors.whole import part_of
from lensctl.learning import architectures, checkpoint, feed, normalise, predict, rows, watch
from lensctl.learning.augment import BLUR_REACH_PX
from lensctl.learning.checkpoint import BEST, RUN, ModelCard
from lensctl.learning.feed import Batch, Feed, Pixels
from lensctl.learning.learner import Learner, Schedule, Step
from lensctl.learning.randomness import seed_of
from lensctl.learning.record import Position, Record
from lensctl.learning.settings import BALANCED, Resources, TrainConfig
from lensctl.words import calibration, metrics
from lensctl.words.errors import InputError
from lensctl.words.split import SEED

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.doors.provenance import Chain
    from lensctl.learning.rows import Selection


@dataclass(frozen=True)
class Progress:
    """A batch done (`batch` of `batches`), an epoch done (with its `metrics`), or something to say (`note`)."""

    member: int = 0
    epoch: int = 0
    batch: int = 0
    batches: int = 0
    samples: int = 0
    metrics: dict[str, Any] | None = None
    note: str = ""


def train(
    manifest: pa.Table,
    pixels: Pixels,
    config: TrainConfig,
    run_dir: str | Path,
    *,
    manifest_name: str = "manifest.parquet",
    resources: Resources = Resources(),  # noqa: B008
    resume: bool = False,
    overwrite: bool = False,
    advance: Callable[[int], None] = lambda rows: None,
) -> Iterator[Progress]:
    """Train a network, or several, on a manifest.

    Parameters
    ----------
    manifest : pa.Table
        Made by `lensctl manifest`.
    pixels : Pixels
        Cutouts by manifest row.
    config : TrainConfig
        What the run is.
    run_dir : path
        Folder to make. While the run goes on, it is `.NAME.part/whole` beside it.
    resources : Resources
        How to compute it.
    resume : bool
        Go on with a run that was begun with the same manifest and config; nothing is done where it has finished.
    overwrite : bool
        Replace what is there.
    advance : callable
        Told how many cutouts were just read, while they are first checked.

    Yields
    ------
    Progress

    Raises
    ------
    InputError
        What cannot be trained on, or where it cannot be written; watch.RedFlag where the run went wrong.
    """
    device = predict.pick_device(resources.device)
    chain = provenance.chain_of(manifest, manifest_name)
    step = _step(manifest, manifest_name, chain, config, resources)
    if _is_done(Path(run_dir), step, resume, overwrite):
        return
    fold = rows.Fold.parse(config.fold) if config.fold else None
    selection = rows.select(
        manifest, fold=fold, fold_seed=SEED, without_ref=config.without_ref, tier_b_target=config.tier_b_target
    )
    fresh_network(config, config.seed, resources.init)
    side = pixels.read(selection.train.at[:1]).shape[1]
    if side < config.crop:
        raise InputError(f"cutouts of {side} px are smaller than the crop of {config.crop} px", "use a smaller --crop")
    place = feed.choose_place(_pixels(selection, config, side), device, resources.host_bytes, asked=resources.feed)
    yield Progress(note=f"{len(selection.train):,} rows train, {len(selection.val):,} validate; {place.reason}")

    kept = {"way": place.way, "device": device, "dtype": place.dtype}
    sha256 = manifest["cutout_sha256"].to_pylist() if "cutout_sha256" in manifest.column_names else None
    training = Feed(pixels, selection.train, _window(config, side), **kept)
    validation = Feed(pixels, selection.val, config.crop, **kept)
    blocks = _counted(training.fill(sha256), advance)
    normalisation = normalise.fit(config.normalise, config.crop, blocks)
    for _ in (*blocks, *_counted(validation.fill(sha256), advance)):
        pass
    selection = _without_nan(selection, training, validation)
    yield Progress(note=_said(selection))

    facts = {
        "kind": "run",
        "config": config.as_dict(),
        "manifest_digest": digests.of_table(manifest),
        "rows": {
            "train": selection.train.counts(),
            "val": selection.val.counts(),
            "left_out": dict(sorted(selection.left_out.items())),
        },
        "provenance": provenance.to_list(provenance.extend(step, chain)),
    }
    card = ModelCard(config.arch, config.crop, normalisation, config.dropout, fold=config.fold)
    with jobs.job(run_dir, step.as_dict(), overwrite=True, afresh=overwrite and not resume) as job:
        for member, folder in enumerate(checkpoint.member_folders(job.built, config.ensemble)):
            folder.mkdir(exist_ok=True)
            record = Record(folder, card, facts)
            yield from _fit(member, config, resources, training, validation, record, device)
        if config.ensemble > 1:
            _gather(job.built, replace(card, members=config.ensemble), facts)
        job.finish()


def fresh_network(config: TrainConfig, seed: int, init: Path | None) -> nn.Module:
    """The network a run starts from: a function of the seed, and of the weights given with `--init`."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("weights", seed))
        network = architectures.build(config.arch, config.dropout)
    if init is not None:
        checkpoint.initialise(network, init)
    return network


def _fit(
    member: int,
    config: TrainConfig,
    resources: Resources,
    training: Feed,
    validation: Feed,
    record: Record,
    device: torch.device,
) -> Iterator[Progress]:
    """Train one network, from where it is to its end."""
    if record.stopped:
        return
    seed = config.seed + member
    notes: list[str] = []
    learner = Learner(
        fresh_network(config, seed, resources.init),
        device,
        weight_decay=config.weight_decay,
        clip=config.clip,
        amp=config.amp,
        compiled=resources.compiled,
        say=notes.append,
    )
    position = record.restore(learner)
    if position.epoch or position.batch:
        yield Progress(member, note=f"goes on after {position.epoch} epochs and {position.batch} batches")
    label = training.rows.label
    batches = len(_order(label, config, seed, 0))
    schedule = Schedule(config.lr, config.lr_end, config.warmup, config.epochs * batches)
    verdict = watch.judge(position.history, config.epochs)
    record.publish(learner, position, verdict)

    while position.epoch < config.epochs and verdict.stale < config.patience:
        epoch = position.epoch
        order = _order(label, config, seed, epoch)  # (batches, B) places in the training rows
        before: tuple[int, Batch, Step] | None = None
        for i, batch in enumerate(training.batches(order[position.batch :]), start=position.batch):
            # forward, backward
            changed = config.augmentation(batch.cutouts, config.crop, seed, epoch, i)  # (B, 3, S, S) nanomaggies
            x = record.card.normalisation(changed)  # (B, 3, S, S), what the network sees
            rate = schedule.at(epoch * batches + i)
            step = learner.step(x, batch.target, batch.weight, lr=rate, purpose=f"{seed}:{epoch}:{i}")
            position.losses.append(step.loss.reshape(1))
            position.logits.append(step.logits)

            # the step before is judged while the device is at this one
            _refuse_nan(before, epoch, training)
            before = (i, batch, step)
            yield from (Progress(member, epoch + 1, note=notes.pop()) for _ in range(len(notes)))
            yield Progress(member, epoch + 1, i + 1, batches, len(batch.which))
            if resources.checkpoint_every and (i + 1) % resources.checkpoint_every == 0 and i + 1 < batches:
                _refuse_nan(before, epoch, training)
                position.batch = i + 1
                record.save(learner, position)
        _refuse_nan(before, epoch, training)

        # judge on val, keep what is needed to go on
        position.end_epoch(_metrics(learner, position, label[order.ravel()], validation, record.card, config.batch, rate))
        record.save(learner, position)
        try:
            verdict = watch.judge(position.history, config.epochs)
        finally:
            record.publish(learner, position, _best_so_far(position))
        yield Progress(member, position.epoch, batches, batches, metrics=position.history[-1], note=verdict.warning)

    early = f"no gain for {verdict.stale} epochs" if position.epoch < config.epochs else "all epochs done"
    record.publish(learner, position, verdict, stopped=early)
    yield Progress(member, position.epoch, note=f"{early}; best val AUC in epoch {verdict.best}")
