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
from lensctl.doors import digests
from lensctl.learning import checkpoint
from lensctl.learning.checkpoint import BEST, LAST, METRICS_JSONL, RUN, ModelCard
from lensctl.learning.learner import Learner
from lensctl.learning.watch import Verdict
from lensctl.words.errors import InputError

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
class Record:
    """One network's folder.

    `last.safetensors` is the one file that counts: it is replaced in one rename and holds the whole state, and the
    others are made again from it where a kill came between.

    Parameters
    ----------
    folder : Path
    card : ModelCard
    facts : mapping
        What run.json says beside the state: config, manifest_digest, rows, provenance.
    """

    folder: Path
    card: ModelCard
    facts: Mapping[str, Any]

    def save(self, learner: Learner, position: Position) -> None:
        """Save the state as it is."""
        under_way = {
            f"under_way.{name}": torch.cat(kept)
            for name, kept in (("losses", position.losses), ("logits", position.logits))
            if kept
        }
        state = {
            "epoch": position.epoch,
            "batch": position.batch,
            "history": position.history,
            "micro_batch": learner.micro_batch,
        }
        checkpoint.save_tensors(self.folder / LAST, {**learner.tensors(), **under_way}, state)

    def restore(self, learner: Learner) -> Position:
        """Go on from the state that was saved, or start."""
        if not (self.folder / LAST).is_file():
            return Position()
        tensors, state = checkpoint.load_tensors(self.folder / LAST)
        try:
            learner.restore(tensors)
            learner.micro_batch = state["micro_batch"]
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
                    "bfloat16": learner.half,
                    "threads": torch.get_num_threads(),
                },
                "versions": versions(),
            },
        )

    @property
    def stopped(self) -> bool:
        """Whether this network is at its end."""
        path = self.folder / RUN
        return path.is_file() and checkpoint.read_json(path).get("stopped") is not None


def versions() -> dict[str, str]:
    """Versions that decide the bits of a result."""
    return {
        "lensctl": __version__,
        "torch": torch.__version__,
        "torchvision": metadata.version("torchvision"),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def gather(folder: Path, card: ModelCard, facts: Mapping[str, Any]) -> None:
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
        },
    )
