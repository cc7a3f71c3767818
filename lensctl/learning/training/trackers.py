"""Optional experiment trackers: TensorBoard, Weights & Biases or MLflow."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError, first_line


class Tracker(Protocol):
    """Receives the metrics of each epoch."""

    def log(self, member: int, metrics: Mapping[str, Any]) -> None:
        """Log the metrics of an epoch, including `epoch`."""

    def close(self) -> None:
        """Finish logging."""


class TensorBoard:
    """Event files in `NAME.tensorboard/` next to the run."""

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(run_dir.with_name(f"{run_dir.name}.tensorboard")))
        self.writer.add_text("config", str(dict(config)))

    def log(self, member: int, metrics: Mapping[str, Any]) -> None:
        """One scalar per metric."""
        for name, value in _numbers(metrics).items():
            self.writer.add_scalar(f"member-{member}/{name}", value, metrics["epoch"])

    def close(self) -> None:
        """Flush the event file."""
        self.writer.close()


class WeightsAndBiases:
    """A run of project `lensctl`, named after the run folder; offline if WANDB_MODE says so."""

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        import wandb

        with _as_input_error("wandb", wandb.errors.Error):
            self.run: Any = wandb.init(project="lensctl", name=run_dir.name, config=dict(config))

    def log(self, member: int, metrics: Mapping[str, Any]) -> None:
        """One value per metric."""
        named = {f"member-{member}/{name}": value for name, value in _numbers(metrics).items()}
        self.run.log({**named, "epoch": metrics["epoch"]})

    def close(self) -> None:
        """End the run."""
        self.run.finish()


class MLflow:
    """A run of experiment `lensctl`, named after the run folder.

    Logged to MLFLOW_TRACKING_URI if set, else to `NAME.mlflow/` next to the run.
    """

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # needed since MLflow 3
        import mlflow

        self.mlflow: Any = mlflow
        with _as_input_error("mlflow", mlflow.exceptions.MlflowException):
            if "MLFLOW_TRACKING_URI" not in os.environ:
                mlflow.set_tracking_uri(run_dir.absolute().with_name(f"{run_dir.name}.mlflow").as_uri())
            mlflow.set_experiment("lensctl")
            mlflow.start_run(run_name=run_dir.name)
            mlflow.log_params(dict(config))

    def log(self, member: int, metrics: Mapping[str, Any]) -> None:
        """One value per metric."""
        named = {f"member-{member}/{name}": value for name, value in _numbers(metrics).items()}
        with _as_input_error("mlflow", self.mlflow.exceptions.MlflowException):
            self.mlflow.log_metrics(named, step=metrics["epoch"])

    def close(self) -> None:
        """End the run."""
        self.mlflow.end_run()


TRACKERS: Mapping[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}
"""Trackers by package name; each takes the run folder and its config."""


def refuse_missing(name: str) -> None:
    """Raise InputError if the tracker is unknown or its package is not installed."""
    if name not in TRACKERS:
        raise InputError(f"no tracker '{name}'{nearest(name, TRACKERS)}", f"use {', '.join(TRACKERS)}")
    if importlib.util.find_spec(name) is None:
        raise InputError(f"--track {name}: the package '{name}' is not installed", "pip install 'lensctl[track]'")


@contextmanager
def _as_input_error(name: str, error: type[Exception]) -> Iterator[None]:
    """Convert a tracker's error to an InputError."""
    try:
        yield
    except error as cause:
        raise InputError(
            f"--track {name}: {first_line(cause)}",
            f"set {name} up, or leave it out; continue a started run with --resume",
        ) from cause


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(v) for name, v in metrics.items() if name != "epoch" and v is not None}
