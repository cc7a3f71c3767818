"""From a manifest on disk to a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from lensctl.io import machine
from lensctl.io.cutouts.by_manifest import Cutouts, root_of
from lensctl.io.provenance.steps import chain_of, common_survey
from lensctl.io.reporter import SILENT, Progress, Receipt, Reporter, nothing
from lensctl.io.storage.atomic import local_folder
from lensctl.io.tables.files import read_table
from lensctl.learning.networks.checkpoint import read_json
from lensctl.learning.networks.run_files import RUN
from lensctl.learning.training import recipes
from lensctl.learning.training.distributed import ALONE, Team
from lensctl.learning.training.recipes import DEFAULT
from lensctl.learning.training.settings import WORDS, Resources, TrainConfig, number_or
from lensctl.learning.training.trackers import TRACKERS, refuse_missing
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey
from lensctl.train.fitting import TrainProgress, fit


def train(
    manifest: str | Path,
    run_dir: str | Path,
    *,
    survey: Survey | str | None = None,
    root: str | Path | None = None,
    init: str | Path | None = None,
    device: str = "auto",
    threads: int = 2,
    feed: str = "auto",
    compile: bool = False,
    checkpoint_every: int | None = None,
    track: Sequence[str] = (),
    recipe: str = DEFAULT,
    resume: bool = False,
    overwrite: bool = False,
    format: str | None = None,
    team: Team = ALONE,
    neighbours: int = 1,
    event: Callable[[TrainProgress], None] = lambda event: None,
    advance: Progress = nothing,
    report: Reporter = SILENT,
    **settings: Any,
) -> Receipt:
    """Train a network or an ensemble on a manifest and its cutouts, and write the run folder.

    Parameters
    ----------
    manifest, run_dir : path
        Made by `manifest` (`-` is stdin), and the folder to create on local disk.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    root : path, optional
        Folder that `cutout_path` is relative to; default the manifest's.
    init : path, optional
        Initial weights.
    device, feed, compile, checkpoint_every
        See `Resources`.
    threads : int
        CPU threads; recorded, as weights differ by rounding with another number.
    track : sequence of str
        Trackers to log to: tensorboard, wandb, mlflow.
    recipe : str
        Settings to begin with, by name; see recipes.RECIPES.
    resume, overwrite : bool
        Continue an unfinished run; replace an existing one.
    team, neighbours
        The processes that train together, and how many of them share this machine's memory.
    event, advance : callables
        Called with each batch, epoch and note, and with the number of cutouts just read before training starts.
    settings
        Fields of `TrainConfig`, such as `arch="shielded"` or `epochs=10`.

    Returns
    -------
    Receipt
        With members, epochs, validation AUC, rows and digest of the model; from the leader of a team alone.

    Raises
    ------
    InputError
        See `fitting.fit`; an unknown setting or recipe, inputs of two surveys.
    """
    manifest = str(manifest)
    config = _config({**recipes.recipe(recipe), **settings})
    for name in track:
        refuse_missing(name)
    run_folder = local_folder(str(run_dir), "a run must be on")
    cutout_root = root_of(manifest, root)
    rows = read_table(manifest, format=format if manifest == "-" else None)
    cutouts = Cutouts(rows, cutout_root)
    if cutouts.recorded.note and team.leads:
        report.say(cutouts.recorded.note)
    origin = cutouts.origin()
    of = common_survey(survey, chain_of(rows, manifest), *origin.chains)
    resources = Resources(
        device=device,
        threads=threads,
        feed=feed,
        host_bytes=machine.free_memory_bytes() // neighbours,
        compiled=compile,
        init=None if init is None else Path(init),
        checkpoint_every=checkpoint_every,
    )
    trackers = []
    started = False
    for progress in fit(
        rows,
        cutouts,
        config,
        run_folder,
        manifest_name=manifest,
        survey=of,
        pixel_scale_arcsec=next(iter(origin.pixel_scales_arcsec), None),
        layers=origin.layers,
        resources=resources,
        team=team,
        resume=resume,
        overwrite=overwrite,
        advance=advance,
    ):
        if not started and team.leads:
            trackers = [TRACKERS[name](run_folder, config.as_dict()) for name in track]
        started = True
        event(progress)
        if progress.metrics is not None:
            for tracker in trackers:
                tracker.log(progress.member, progress.metrics)
    for tracker in trackers:
        tracker.close()
    if not team.leads:
        return {}
    if not started:
        report.say(f"{run_dir} is already finished: nothing to do")
    return {"command": "train", "output": str(run_dir), **_summary(read_json(run_folder / RUN))}


def _config(settings: dict[str, Any]) -> TrainConfig:
    known = [field.name for field in fields(TrainConfig)]
    for name in settings:
        if name not in known:
            raise InputError(f"no setting '{name}' of training{nearest(name, known)}", f"use {', '.join(known)}")
    changed = dict(settings)
    for name, word in WORDS.items():
        if name in changed:
            changed[name] = number_or(word, str(changed[name]), name)
    if "without_ref" in changed:
        changed["without_ref"] = tuple(changed["without_ref"])
    return TrainConfig(**changed)


def _seen(members: list[dict[str, Any]], length: dict[str, int]) -> int:
    """Cutouts that the members saw, each as often as it was shown."""
    epochs = sum(int(member["epochs"]) for member in members)
    return epochs * (length["cutouts_seen"] // length["epochs"])


def _summary(run: dict[str, Any]) -> dict[str, Any]:
    members = run.get("members") or [run]
    best = [member["metrics"]["val_auc"] for member in members if member["metrics"]]
    return {
        "members": len(members),
        "epochs": sum(member["epochs"] for member in members),
        **({"cutouts_seen": _seen(members, run["length"])} if "length" in run else {}),
        "val_auc": round(sum(best) / len(best), 6) if best else None,
        "train_rows": sum(run["rows"]["train"].values()),
        "val_rows": sum(run["rows"]["val"].values()),
        "left_out": sum(run["rows"]["left_out"].values()),
        "model_digest": run["model_digest"],
    }
