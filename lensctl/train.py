"""Training: from a manifest and its cutouts to weights, epoch by epoch."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
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
from lensctl.learning.networks.golden import keep
from lensctl.learning.randomness import seed_of
from lensctl.learning.training.distributed import ALONE, Team
from lensctl.learning.training.early_stopping import RedFlag, judge_epoch
from lensctl.learning.training.epoch_metrics import epoch_metrics, refuse_nan, refuse_unsound
from lensctl.learning.training.learner import Learner, Schedule, StepResult, precision_of
from lensctl.learning.training.run_folder import RunFolder, gather_members, state_of
from lensctl.learning.training.settings import BALANCED, Resources, TrainConfig
from lensctl.rules.errors import InputError
from lensctl.rules.split import SEED

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain
    from lensctl.learning.data.row_selection import Rows, RowSelection


@dataclass(frozen=True)
class TrainProgress:
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
    pixel_scale_arcsec: float | None = None,
    resources: Resources = Resources(),  # noqa: B008
    team: Team = ALONE,
    resume: bool = False,
    overwrite: bool = False,
    advance: Callable[[int], None] = lambda rows: None,
) -> Iterator[TrainProgress]:
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
    pixel_scale_arcsec : float, optional
        Of the cutouts, to be told with the model; the survey's 0.262 if not known.
    resources : Resources
        How to compute it.
    team : Team
        The processes that train together; each calls this with the same arguments, and the leader writes.
    resume : bool
        Go on with a run that was begun with the same manifest and config; nothing is done where it has finished.
    overwrite : bool
        Replace what is there; with `resume`, only where it is another run.
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
    chain = chain_of(manifest, manifest_name)
    step = _step(manifest, manifest_name, chain, config, resources)
    stand = team.told(state_of(Path(run_dir), step, resume, overwrite) if team.leads else "")
    if stand == "done":
        return
    device = predict.pick_device(resources.device, resources.threads)
    fold = Fold.parse(config.fold) if config.fold else None
    selection = select_rows(
        manifest, fold=fold, fold_seed=SEED, without_ref=config.without_ref, tier_b_target=config.tier_b_target
    )
    fresh_network(config, config.seed, resources.init)
    side = pixels.read(selection.train.at[:1]).shape[1]
    if side < config.crop:
        raise InputError(f"cutouts of {side} px are smaller than the crop of {config.crop} px", "use a smaller --crop")
    place = dataloader.choose_place(
        _pixels(selection, config, side), device, resources.host_bytes, asked=resources.feed
    )
    sha256 = manifest["cutout_sha256"].to_pylist() if "cutout_sha256" in manifest.column_names else None
    training = Feed(pixels, selection.train, _window(config, side), place, device)
    validation = Feed(pixels, selection.val, config.crop, place, device)
    blocks = _counted(training.fill(sha256), advance)
    normalisation = normalise.fit(config.normalise, config.crop, blocks)
    for _ in itertools.chain(blocks, _counted(validation.fill(sha256), advance)):
        pass
    selection = _without_nan(selection, training, validation)
    training.rows = _weighted(training.rows, config.pos_weight)
    yield TrainProgress(note=f"{_said(selection)}; {place.reason}")

    facts = {
        "kind": "run",
        "config": config.as_dict(),
        "manifest_digest": digests.of_table(manifest),
        "rows": {
            "train": selection.train.counts(),
            "val": selection.val.counts(),
            "left_out": dict(sorted(selection.left_out.items())),
        },
        "provenance": to_list(extend(step, chain)),
    }
    card = ModelCard(
        config.arch,
        config.crop,
        normalisation,
        config.dropout,
        pixel_scale_arcsec=pixel_scale_arcsec or checkpoint.PIXEL_SCALE_ARCSEC,
        fold=config.fold,
    )
    with _begun(run_dir, step, stand, team) as job:
        built = job.built if job else Path(run_dir)
        for member, folder in enumerate(checkpoint.member_folders(built, config.ensemble)):
            if job:
                folder.mkdir(exist_ok=True)
            record = RunFolder(folder, card, facts, team)
            try:
                yield from _fit(member, config, resources, training, validation, record, device)
            except RedFlag as flag:
                if (folder / BEST).is_file():
                    flag.fix += f"; what was good so far is in {folder.relative_to(Path(run_dir).parent)}/"
                raise
        if job:
            if config.ensemble > 1:
                gather_members(built, replace(card, members=config.ensemble), facts)
            keep(built, manifest, pixels.read, config.crop, config.fold)
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
    record: RunFolder,
    device: torch.device,
) -> Iterator[TrainProgress]:
    """Train one network, from where it is to its end."""
    team = record.team
    if record.stopped:
        return
    seed = config.seed + member
    notes: list[str] = []
    learner = Learner(
        fresh_network(config, seed, resources.init),
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
        yield TrainProgress(member, note=f"goes on after {position.epoch} epochs and {position.batch} batches")
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
        order = _order(label, config, seed, epoch)  # (batches, B) places in the training rows, of which `mine` are here
        before: tuple[int, Batch, StepResult] | None = None
        for i, batch in enumerate(training.batches(order[position.batch :, mine]), start=position.batch):
            # forward, backward
            purpose = (seed, epoch, i)
            changed = augment(batch.cutouts, config.crop, *purpose, first=mine.start, of=size)  # (B, 3, S, S)
            x = record.card.normalisation(changed)  # (B, 3, S, S), what the network sees
            rate = schedule.at(epoch * batches + i)
            step = learner.step(x, batch.target, batch.weight, lr=rate, purpose=":".join(map(str, purpose)))
            position.losses.append(step.loss.reshape(1))
            position.logits.append(step.logits)

            # the step before is judged while the device is at this one
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

        # judge on val, keep what is needed to go on
        at_once = learner.micro_batch or config.batch_size
        judged = epoch_metrics(learner, position, label[order.ravel()], validation, record.card, at_once)
        position.end_epoch({"epoch": epoch + 1, "lr": rate, **judged})
        verdict = judge_epoch(position.history, config.epochs)
        record.save(learner, position)
        record.publish(learner, position, verdict)
        yield TrainProgress(member, epoch + 1, batches, batches, metrics=position.history[-1], note=verdict.warning)
        if verdict.flag:
            raise verdict.flag

    early = f"no gain for {verdict.stale} epochs" if position.epoch < config.epochs else "all epochs done"
    record.publish(learner, position, verdict, stopped=early)
    yield TrainProgress(member, position.epoch, note=f"{early}; best val AUC in epoch {verdict.best}")


def _order(label: NDArray[np.float32], config: TrainConfig, seed: int, epoch: int) -> NDArray[np.int64]:
    return dataloader.epoch_order(
        label,
        config.batch_size,
        seed=seed,
        epoch=epoch,
        positive_share=config.positive_share,
        samples=config.samples_per_epoch,
    )


def _step(manifest: pa.Table, name: str, chain: Chain, config: TrainConfig, resources: Resources) -> Step:
    inputs = [step_input("manifest", name, digests.of_table(manifest), chain)]
    if resources.init is not None:
        if not resources.init.is_file():
            raise InputError(f"{resources.init}: no such file", "give a file of weights")
        inputs.append(step_input("init", resources.init, digests.of_file(resources.init)))
    return Step("train", config.as_dict(), tuple(inputs))


def _begun(run_dir: str | Path, step: Step, stand: str, team: Team) -> AbstractContextManager[resumable.Job | None]:
    """The job of making the folder, which is the leader's alone."""
    if not team.leads:
        return nullcontext()
    return resumable.job(run_dir, step.as_dict(), overwrite=True, afresh=stand == "free")


def _window(config: TrainConfig, side: int) -> int:
    """Pixels per side that training may pick from: the crop, and what shifts and blur reach beyond it."""
    reach = config.shift + (BLUR_REACH_PX if config.blur else 0)
    return min(side, config.crop + 2 * reach)


def _pixels(selection: RowSelection, config: TrainConfig, side: int) -> int:
    return len(selection.train) * _window(config, side) ** 2 + len(selection.val) * config.crop**2


def _counted(blocks: Iterator[NDArray[np.float32]], advance: Callable[[int], None]) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        advance(len(block))
        yield block


def _without_nan(selection: RowSelection, training: Feed, validation: Feed) -> RowSelection:
    """The selection less the rows whose pixels cannot be used."""
    lost = len(selection.train) + len(selection.val) - len(training.rows) - len(validation.rows)
    found = RowSelection(training.rows, validation.rows, +(selection.left_out + Counter({NAN: lost})))
    refuse_one_class(found)
    return found


def _weighted(given: Rows, pos_weight: float | str) -> Rows:
    """The rows with the weight of lenses multiplied."""
    is_lens = given.label == 1
    if pos_weight == BALANCED:
        pos_weight = float(given.weight[~is_lens].sum() / given.weight[is_lens].sum())
    return replace(given, weight=np.where(is_lens, given.weight * np.float32(pos_weight), given.weight))


def _said(selection: RowSelection) -> str:
    parts = [
        f"{counts['positives']:,} lenses and {counts['negatives']:,} others {verb}"
        for verb, counts in (("train", selection.train.counts()), ("validate", selection.val.counts()))
    ]
    return "; ".join([*parts, *(f"{n:,} left out ({why})" for why, n in sorted(selection.left_out.items()))])
