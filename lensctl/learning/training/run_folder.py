"""A run folder, saved so that a run killed at any moment can resume and reach the same weights."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lensctl import __version__
from lensctl.io.provenance import digests
from lensctl.io.provenance.environment import source_commit
from lensctl.io.provenance.steps import Step, from_list
from lensctl.io.storage import resumable
from lensctl.io.storage.atomic import part_of, refuse_existing
from lensctl.learning.networks import checkpoint
from lensctl.learning.networks.checkpoint import ModelCard
from lensctl.learning.networks.run_files import BEST, LAST, METRICS_JSONL, RUN, member_folders, weights_digest
from lensctl.learning.training.distributed import ALONE, Team
from lensctl.learning.training.early_stopping import Verdict
from lensctl.learning.training.learner import Learner
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import InputError

MEMBER_KEYS = ("model_digest", "epochs", "best_epoch", "metrics", "warnings", "stopped")


@dataclass
class Position:
    """Progress of a run: epochs done, batches done in the current epoch, and their results.

    Parameters
    ----------
    epoch, batch : int
    history : metrics of each finished epoch
    losses : list of (n,) float32 tensors
        Loss of each batch in the current epoch.
    logits : list of (n,) float32 tensors
        Logits of the rows trained on in it, in order.
    """

    epoch: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[torch.Tensor] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)

    def end_epoch(self, metrics: dict[str, Any]) -> None:
        """Advance to the start of the next epoch."""
        self.history.append(metrics)
        self.epoch, self.batch, self.losses, self.logits = self.epoch + 1, 0, [], []


@dataclass(frozen=True)
class RunFolder:
    """The folder of one network.

    `last.safetensors` holds the whole state and is replaced atomically; after a kill the other files are rewritten
    from it.

    Parameters
    ----------
    folder : Path
    card : ModelCard
    facts : mapping
        Constant fields of run.json: config, manifest_digest, rows, provenance.
    team : Team
        The processes that train the network; only the leader reads and writes the folder.
    """

    folder: Path
    card: ModelCard
    facts: Mapping[str, Any]
    team: Team = ALONE

    def save(self, learner: Learner, position: Position) -> None:
        """Save the current state."""
        if not self.team.leads:
            return
        in_progress = {
            f"under_way.{name}": torch.cat(kept)
            for name, kept in (("losses", position.losses), ("logits", position.logits))
            if kept
        }
        state = {
            "epoch": position.epoch,
            "batch": position.batch,
            "history": position.history,
            **learner.state(),
        }
        checkpoint.save_tensors(self.folder / LAST, {**learner.tensors(), **in_progress}, state)

    def restore(self, learner: Learner) -> Position:
        """Restore the saved state, or start from the beginning."""
        exists = self.team.leads and (self.folder / LAST).is_file()
        tensors, state = self.team.broadcast(checkpoint.load_tensors(self.folder / LAST) if exists else ({}, {}))
        if not state:
            return Position()
        try:
            learner.restore(tensors, state)
            position = Position(state["epoch"], state["batch"], state["history"])
        except (KeyError, RuntimeError, IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.folder / LAST}: not a checkpoint of this run", "start again with --overwrite"
            ) from error
        for name, kept in (("losses", position.losses), ("logits", position.logits)):
            if f"under_way.{name}" in tensors:
                kept.append(tensors[f"under_way.{name}"].to(learner.device))
        return position

    def publish(self, learner: Learner, position: Position, verdict: Verdict, stopped: str | None = None) -> None:
        """Write all files other than `last.safetensors`; `stopped` is the reason why a run ended."""
        if not self.team.leads:
            return
        if position.epoch and verdict.best == position.epoch and position.batch == 0:
            checkpoint.save_tensors(
                self.folder / BEST, learner.judged.state_dict(), {"arch": self.card.arch, "epoch": position.epoch}
            )
        checkpoint.write_metrics(self.folder, position.history)
        best = self.folder / BEST
        checkpoint.write_json(
            self.folder / RUN,
            {
                **self.facts,
                "model": self.card.as_dict(),
                "model_digest": weights_digest([best]) if best.is_file() else None,
                "epochs": position.epoch,
                "best_epoch": verdict.best or None,
                "metrics": position.history[verdict.best - 1] if verdict.best else None,
                "warnings": [verdict.warning] if verdict.warning else [],
                "stopped": stopped,
                "computed_on": {
                    "device": learner.device.type,
                    "precision": str(learner.precision).removeprefix("torch."),
                    "threads": torch.get_num_threads(),
                    "processes": self.team.size,
                },
                "versions": versions(),
                "source": source_commit(),
            },
        )

    @property
    def stopped(self) -> bool:
        """Whether training of this network has ended."""
        path = self.folder / RUN
        exists = self.team.leads and path.is_file()
        with as_written(str(path), "start again with --overwrite"):
            stopped = exists and checkpoint.read_json(path).get("stopped") is not None
        return self.team.broadcast(stopped)


def state_of(run_dir: Path, step: Step, resume: bool, overwrite: bool) -> str:
    """Whether this run is `done`, `begun` or not started (`free`); InputError if the folder may not be used."""
    refuse_existing(run_dir, overwrite=True)  # checks only that the parent folder exists
    now = json_value(json.dumps(step.as_dict()))
    begun = part_of(run_dir) / resumable.JOB_FILE
    before = _read_note(begun)
    if before is None and (run_dir / RUN).is_file():
        with as_written(f"{run_dir / RUN}", "start again with --overwrite"):
            before = from_list(checkpoint.read_json(run_dir / RUN)["provenance"], str(run_dir))[-1].as_dict()
    if resume and before == now:
        return "begun" if begun.is_file() else "done"
    if not overwrite:
        if resume and before is not None:
            raise InputError(
                f"{run_dir} is another run: {resumable.difference(before, now)}",
                "resume it with its original options, or --overwrite to start again",
            )
        if begun.is_file():
            raise InputError(f"{run_dir} is unfinished", "use --resume to continue it, or --overwrite to start again")
        refuse_existing(run_dir, overwrite=False)
    return "free"


def _read_note(path: Path) -> dict[str, Any] | None:
    """A job's note; None if it is missing or incomplete."""
    try:
        note: dict[str, Any] = json_value(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return note


def versions() -> dict[str, str]:
    """Versions that affect the exact result."""
    return {
        "lensctl": __version__,
        "torch": torch.__version__,
        "torchvision": metadata.version("torchvision"),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def gather_members(folder: Path, card: ModelCard, facts: Mapping[str, Any]) -> None:
    """Write an ensemble's run.json and metrics from those of its members."""
    runs = [checkpoint.read_json(member / RUN) for member in member_folders(folder, card.members)]
    lines = []
    for member in member_folders(folder, card.members):
        text = (member / METRICS_JSONL).read_text(encoding="utf-8")
        lines += [{"member": int(member.name.rpartition("-")[2]), **json_value(line)} for line in text.splitlines()]
    checkpoint.write_metrics(folder, lines)
    checkpoint.write_json(
        folder / RUN,
        {
            **facts,
            "model": card.as_dict(),
            "model_digest": digests.of_many(run["model_digest"] for run in runs),
            "members": [{key: run[key] for key in MEMBER_KEYS} for run in runs],
            "stopped": "all members done",
            "computed_on": runs[0]["computed_on"],
            "versions": runs[0]["versions"],
            "source": runs[0].get("source"),
        },
    )
