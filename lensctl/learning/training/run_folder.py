"""A run's folder: saved so that it can be killed at any moment and gone on with to the same weights."""

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
from lensctl.learning.networks.checkpoint import BEST, LAST, METRICS_JSONL, RUN, ModelCard
from lensctl.learning.training.distributed import ALONE, Team
from lensctl.learning.training.early_stopping import Verdict
from lensctl.learning.training.learner import Learner
from lensctl.rules.errors import InputError

MEMBER_KEYS = ("model_digest", "epochs", "best_epoch", "metrics", "warnings", "stopped")


@dataclass
class Position:
    """Where a run is: epochs done, batches done of the epoch under way, and what those gave.

    Parameters
    ----------
    epoch, batch : int
    history : list of the metrics of each epoch done
    losses : list of (n,) float32 tensors
        Loss of each batch of the epoch under way.
    logits : list of (n,) float32 tensors
        Logits of the rows that were trained on in it, in order.
    """

    epoch: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[torch.Tensor] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)

    def end_epoch(self, metrics: dict[str, Any]) -> None:
        """Go to the start of the next epoch."""
        self.history.append(metrics)
        self.epoch, self.batch, self.losses, self.logits = self.epoch + 1, 0, [], []


@dataclass(frozen=True)
class RunFolder:
    """One network's folder.

    `last.safetensors` is the one file that counts: it is replaced in one rename and holds the whole state, and the
    others are made again from it where a kill came between.

    Parameters
    ----------
    folder : Path
    card : ModelCard
    facts : mapping
        What run.json says beside the state: config, manifest_digest, rows, provenance.
    team : Team
        The processes that train the network; the leader alone reads and writes the folder.
    """

    folder: Path
    card: ModelCard
    facts: Mapping[str, Any]
    team: Team = ALONE

    def save(self, learner: Learner, position: Position) -> None:
        """Save the state as it is."""
        if not self.team.leads:
            return
        under_way = {
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
        checkpoint.save_tensors(self.folder / LAST, {**learner.tensors(), **under_way}, state)

    def restore(self, learner: Learner) -> Position:
        """Go on from the state that was saved, or start."""
        there = self.team.leads and (self.folder / LAST).is_file()
        tensors, state = self.team.told(checkpoint.load_tensors(self.folder / LAST) if there else ({}, {}))
        if not state:
            return Position()
        try:
            learner.restore(tensors, state)
            position = Position(state["epoch"], state["batch"], state["history"])
        except (KeyError, RuntimeError, IndexError) as error:
            raise InputError(
                f"{self.folder / LAST}: not the state of this run", "start again with --overwrite"
            ) from error
        for name, kept in (("losses", position.losses), ("logits", position.logits)):
            if f"under_way.{name}" in tensors:
                kept.append(tensors[f"under_way.{name}"].to(learner.device))
        return position

    def publish(self, learner: Learner, position: Position, verdict: Verdict, stopped: str | None = None) -> None:
        """Bring everything beside `last.safetensors` to the state it holds; `stopped` says why a run is at its end."""
        if not self.team.leads:
            return
        if position.epoch and verdict.best == position.epoch and position.batch == 0:
            checkpoint.save_tensors(
                self.folder / BEST, learner.network.state_dict(), {"arch": self.card.arch, "epoch": position.epoch}
            )
        checkpoint.write_metrics(self.folder, position.history)
        best = self.folder / BEST
        checkpoint.write_json(
            self.folder / RUN,
            {
                **self.facts,
                "model": self.card.as_dict(),
                "model_digest": checkpoint.weights_digest([best]) if best.is_file() else None,
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
        """Whether this network is at its end."""
        path = self.folder / RUN
        there = self.team.leads and path.is_file()
        return self.team.told(there and checkpoint.read_json(path).get("stopped") is not None)


def state_of(run_dir: Path, step: Step, resume: bool, overwrite: bool) -> str:
    """What a run finds: itself `done`, itself `begun`, or its place `free`; InputError where it may do nothing."""
    refuse_existing(run_dir, overwrite=True)  # but it needs a folder to stand in
    now = json.loads(json.dumps(step.as_dict()))
    begun = part_of(run_dir) / resumable.JOB_FILE
    before = _read_note(begun)
    if before is None and (run_dir / RUN).is_file():
        before = from_list(checkpoint.read_json(run_dir / RUN)["provenance"], str(run_dir))[-1].as_dict()
    if resume and before == now:
        return "begun" if begun.is_file() else "done"
    if not overwrite:
        if resume and before is not None:
            raise InputError(
                f"{run_dir} is another run: {resumable.difference(before, now)}",
                "resume it with what it was begun with, or --overwrite to start again",
            )
        if begun.is_file():
            raise InputError(f"{run_dir} is unfinished", "add --resume to go on with it, or --overwrite to start again")
        refuse_existing(run_dir, overwrite=False)
    return "free"


def _read_note(path: Path) -> dict[str, Any] | None:
    """What a job's note says, if it is whole."""
    try:
        note: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return note


def versions() -> dict[str, str]:
    """Versions that decide the bits of a result."""
    return {
        "lensctl": __version__,
        "torch": torch.__version__,
        "torchvision": metadata.version("torchvision"),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def gather_members(folder: Path, card: ModelCard, facts: Mapping[str, Any]) -> None:
    """An ensemble's own run.json and metrics, from those of its members."""
    runs = [checkpoint.read_json(member / RUN) for member in checkpoint.member_folders(folder, card.members)]
    lines = []
    for member in checkpoint.member_folders(folder, card.members):
        text = (member / METRICS_JSONL).read_text(encoding="utf-8")
        lines += [{"member": int(member.name.rpartition("-")[2]), **json.loads(line)} for line in text.splitlines()]
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
