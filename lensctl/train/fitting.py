"""The training of a network: epoch by epoch, from cutouts to weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, extend, step_input, to_list
from lensctl.io.reporter import Progress, nothing
from lensctl.io.storage import resumable
from lensctl.learning.data import dataloader
from lensctl.learning.data.dataloader import Batch, Pixels
from lensctl.learning.data.row_selection import Fold, select_rows
from lensctl.learning.networks import architectures, predict
from lensctl.learning.networks.checkpoint import ModelCard
from lensctl.learning.networks.golden import save_golden_inputs
from lensctl.learning.networks.initial_weights import Initial, initialise, origin_of, refuse_known_lenses
from lensctl.learning.networks.run_files import BEST, member_folders
from lensctl.learning.randomness import seed_of
from lensctl.learning.training.distributed import ALONE, Team
from lensctl.learning.training.early_stopping import RedFlag, judge_epoch
from lensctl.learning.training.epoch_metrics import epoch_metrics, refuse_nan, refuse_unsound
from lensctl.learning.training.learner import Learner, Schedule, StepResult, precision_of
from lensctl.learning.training.length import Length
from lensctl.learning.training.run_folder import RunFolder, gather_members, state_of
from lensctl.learning.training.settings import Resources, TrainConfig
from lensctl.learning.training.val_scores import keep_val_scores, rows_of_val
from lensctl.rules.errors import InputError
from lensctl.rules.split import SEED
from lensctl.rules.survey import LS_DR10, Survey
from lensctl.train import notes
from lensctl.train.feeding import Feeds, read_cutouts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain


@dataclass(frozen=True)
class TrainProgress:
    """A finished batch (`batch` of `batches`), a finished epoch (with its `metrics`), or a message (`note`).

    `steps_left` are those to come in the run, of members to come too; fewer if training stops early.
    """

    member: int = 0
    epoch: int = 0
    epochs: int = 0
    batch: int = 0
    batches: int = 0
    samples: int = 0
    steps_left: int = 0
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
    advance: Progress = nothing,
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
        Called with the number of cutouts just read, and how many there are to read, while they are checked before
        training.

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
    initial = _initial(config, resources.init, len(survey.bands))
    scored_later = np.setdiff1d(rows_of_val(manifest, fold), selection.val.at)
    feeds = read_cutouts(pixels, selection, scored_later, config, survey, device, resources, advance)
    selection = feeds.selection
    yield TrainProgress(note="\n".join(notes.about(selection, feeds.place, config, initial)))

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
        "length": config.length(len(selection.train)).as_dict(),
        **({"init": initial.as_dict()} if initial else {}),
        "provenance": to_list(extend(step, chain)),
    }
    card = ModelCard(
        config.arch,
        config.crop,
        feeds.normalisation,
        config.dropout,
        survey,
        scale,
        tuple(sorted(layers)),
        fold=config.fold,
        calibrate_share=config.calibrate_share if selection.calibrate else 0.0,
    )
    with _job(run_dir, step, state, team) as job:
        run_folder = job.built if job else Path(run_dir)
        for member, folder in enumerate(member_folders(run_folder, config.ensemble)):
            if job:
                folder.mkdir(exist_ok=True)
            record = RunFolder(folder, card, facts, team)
            try:
                yield from fit_member(member, config, resources, feeds, record, device)
            except RedFlag as flag:
                if (folder / BEST).is_file():
                    flag.fix += f"; the best checkpoint so far is in {folder.relative_to(Path(run_dir).parent)}/"
                raise
        if job:
            if config.ensemble > 1:
                gather_members(run_folder, replace(card, members=config.ensemble), facts)
            save_golden_inputs(run_folder, manifest, pixels.read, config.crop, config.fold)
            kept = keep_val_scores(run_folder, manifest, pixels, device=resources.device, threads=resources.threads)
            yield TrainProgress(note=f"scores of {kept:,} rows of val are kept, for thresholds")
            job.finish()


def fresh_network(config: TrainConfig, seed: int, init: Path | None, bands: int = 3) -> nn.Module:
    """The initial network of a run: determined by the seed and, with `--init`, the given weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("weights", seed))
        network = architectures.build(config.arch, config.dropout, bands)
    if init is not None:
        initialise(network, init)
    return network


def _initial(config: TrainConfig, path: Path | None, bands: int) -> Initial | None:
    """What is to be said of the weights of `--init`; InputError if they do not fit, or break a claim of the run."""
    network = fresh_network(config, config.seed, None, bands)
    if path is None:
        if config.init_trained_on is not None:
            raise InputError("init_trained_on is said of no weights", "give --init, or leave it out")
        return None
    trained_on = origin_of(path, config.init_trained_on)
    refuse_known_lenses(trained_on, config.without_ref, config.fold)
    return Initial(path.name, digests.of_file(path), trained_on, initialise(network, path))


def fit_member(
    member: int,
    config: TrainConfig,
    resources: Resources,
    feeds: Feeds,
    record: RunFolder,
    device: torch.device,
) -> Iterator[TrainProgress]:
    """Train one network, from its last checkpoint to the end."""
    team, training, validation = record.team, feeds.training, feeds.validation
    if record.stopped:
        return
    seed = config.seed + member
    label = training.rows.label
    length = config.length(len(label))
    said: list[str] = []
    learner = Learner(
        fresh_network(config, seed, resources.init, len(record.card.bands)),
        device,
        weight_decay=config.weight_decay,
        clip=config.clip,
        precision=precision_of(device, config.amp),
        compiled=resources.compiled,
        say=said.append,
        team=team,
        ema=config.ema,
    )
    position = record.restore(learner)
    if position.epoch or position.batch:
        yield TrainProgress(member, note=f"resumes after {position.epoch} epochs and {position.batch} batches")
    batches, size, epochs = length.steps, length.batch, length.epochs
    mine, augment = team.part(size), config.augmentation
    schedule = Schedule(config.lr, config.lr_end, config.warmup, length.all_steps)
    later = (config.ensemble - 1 - member) * length.all_steps
    verdict = judge_epoch(position.history, epochs)
    record.publish(learner, position, verdict)
    if verdict.flag:
        raise verdict.flag

    while position.epoch < epochs and verdict.stale < config.patience:
        epoch = position.epoch
        order = _order(label, config, length, seed, epoch)  # (batches, B) indices of rows; columns `mine` are ours
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
            yield from (TrainProgress(member, epoch + 1, note=said.pop()) for _ in range(len(said)))
            left = later + length.all_steps - epoch * batches - i - 1
            yield TrainProgress(member, epoch + 1, epochs, i + 1, batches, size, steps_left=left)
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
        verdict = judge_epoch(position.history, epochs)
        record.save(learner, position)
        record.publish(learner, position, verdict)
        yield TrainProgress(
            member, epoch + 1, epochs, batches, batches, metrics=position.history[-1], note=verdict.warning
        )
        if verdict.flag:
            raise verdict.flag

    reason = f"no gain for {verdict.stale} epochs" if position.epoch < epochs else "all epochs done"
    record.publish(learner, position, verdict, stopped=reason)
    yield TrainProgress(member, position.epoch, note=notes.ended(reason, verdict.best, length))


def _order(label: NDArray[np.float32], config: TrainConfig, length: Length, seed: int, epoch: int) -> NDArray[np.int64]:
    return dataloader.epoch_order(
        label,
        length.batch,
        seed=seed,
        epoch=epoch,
        positive_share=config.share,
        samples=length.samples,
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
