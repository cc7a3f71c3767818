"""Metrics to where a team watches them: TensorBoard, Weights & Biases or MLflow, each only when asked for."""

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
    """Takes the metrics of each epoch."""

    def log(self, member: int, metrics: Mapping[str, Any]) -> None:
        """Metrics of an epoch; `epoch` says of which."""

    def close(self) -> None:
        """Nothing more comes."""


class TensorBoard:
    """Event files in `NAME.tensorboard/` beside the run."""

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(run_dir.with_name(f"{run_dir.name}.tensorboard")))
        self.writer.add_text("config", str(dict(config)))

    def log(self, member: int, metrics: Mapping[str, Any]) -> None:
        """One scalar a metric."""
        for name, value in _numbers(metrics).items():
            self.writer.add_scalar(f"member-{member}/{name}", value, metrics["epoch"])

    def close(self) -> None:
        """Flush the event file."""
        self.writer.close()


class WeightsAndBiases:
    """A run of project `lensctl`, named like the run's folder; offline where WANDB_MODE says so."""

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        import wandb

        with _plain("wandb", wandb.errors.Error):
            self.run: Any = wandb.init(project="lensctl", name=run_dir.name, config=dict(config))

    def log(self, member: int, metrics: Mapping[str, Any]) -> None:
        """One value a metric."""
        named = {f"member-{member}/{name}": value for name, value in _numbers(metrics).items()}
        self.run.log({**named, "epoch": metrics["epoch"]})

    def close(self) -> None:
        """End the run."""
        self.run.finish()


class MLflow:
    """A run of experiment `lensctl`, named like the run's folder.

    It goes where MLFLOW_TRACKING_URI says, else into `NAME.mlflow/` beside the run.
    """

    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # from version 3 on files must be asked for
        import mlflow

        self.mlflow: Any = mlflow
        with _plain("mlflow", mlflow.exceptions.MlflowException):
            if "MLFLOW_TRACKING_URI" not in os.environ:
                mlflow.set_tracking_uri(run_dir.absolute().with_name(f"{run_dir.name}.mlflow").as_uri())
            mlflow.set_experiment("lensctl")
            mlflow.start_run(run_name=run_dir.name)
            mlflow.log_params(dict(config))

    def log(self, member: int, metrics: Mapping[str, Any]) -> None:
        """One value a metric."""
        named = {f"member-{member}/{name}": value for name, value in _numbers(metrics).items()}
        with _plain("mlflow", self.mlflow.exceptions.MlflowException):
            self.mlflow.log_metrics(named, step=metrics["epoch"])

    def close(self) -> None:
        """End the run."""
        self.mlflow.end_run()


TRACKERS: Mapping[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}
"""Trackers by the name of their package; each is made from the run's folder and its config."""


def refuse_missing(name: str) -> None:
    """Raise InputError where there is no such tracker, or its package is not installed."""
    if name not in TRACKERS:
        raise InputError(f"no tracker '{name}'{nearest(name, TRACKERS)}", f"use {', '.join(TRACKERS)}")
    if importlib.util.find_spec(name) is None:
        raise InputError(f"--track {name}: the package '{name}' is not installed", "pip install 'lensctl[track]'")


@contextmanager
def _plain(name: str, error: type[Exception]) -> Iterator[None]:
    """A tracker's own error as an InputError."""
    try:
        yield
    except error as trouble:
        raise InputError(
            f"--track {name}: {first_line(trouble)}",
            f"set {name} up, or leave it out; a run that was begun goes on with --resume",
        ) from trouble


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(v) for name, v in metrics.items() if name != "epoch" and v is not None}
