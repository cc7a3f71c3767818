"""Trackers get the config and the metrics, and trouble with one is a sentence."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from lensctl.learning.training import trackers
from lensctl.rules.errors import InputError

METRICS = {"epoch": 3, "val_auc": 0.9, "val_ece": None}


class Heard:
    """Stands in for a tracker's package: notes every call."""

    errors = SimpleNamespace(Error=ValueError)
    exceptions = SimpleNamespace(MlflowException=ValueError)

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def __getattr__(self, name: str):
        def call(*args: object, **settings: object) -> Heard:
            self.calls.append((name, args, settings))
            return self

        return call

    def of(self, name: str) -> list[tuple[tuple[object, ...], dict[str, object]]]:
        return [(args, settings) for called, args, settings in self.calls if called == name]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE", "WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards
        monkeypatch.delenv(name)


@pytest.fixture
def heard(monkeypatch) -> Heard:
    made = Heard()
    monkeypatch.setitem(sys.modules, "wandb", made)
    monkeypatch.setitem(sys.modules, "mlflow", made)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=made.SummaryWriter))
    return made


def test_tensorboard_stands_beside_the_run_and_gets_a_scalar_a_metric(heard, tmp_path):
    made = trackers.TRACKERS["tensorboard"](tmp_path / "run", {"seed": 1})
    made.log(0, METRICS)
    made.close()
    assert heard.of("SummaryWriter") == [((str(tmp_path / "run.tensorboard"),), {})]
    assert heard.of("add_scalar") == [(("member-0/val_auc", 0.9, 3), {})]
    assert heard.of("close")


def test_wandb_gets_the_config_and_the_metrics(heard, tmp_path):
    made = trackers.TRACKERS["wandb"](tmp_path / "run", {"seed": 1})
    made.log(2, METRICS)
    made.close()
    assert heard.of("init") == [((), {"project": "lensctl", "name": "run", "config": {"seed": 1}})]
    assert heard.of("log") == [(({"member-2/val_auc": 0.9, "epoch": 3},), {})]
    assert heard.of("finish")


def test_mlflow_gets_the_config_and_the_metrics(heard, tmp_path):
    made = trackers.TRACKERS["mlflow"](tmp_path / "run", {"seed": 1})
    made.log(0, METRICS)
    made.close()
    assert heard.of("log_params") == [(({"seed": 1},), {})]
    assert heard.of("log_metrics") == [(({"member-0/val_auc": 0.9},), {"step": 3})]
    assert heard.of("end_run")


def test_mlflow_stands_beside_the_run_where_nothing_else_is_set(heard, tmp_path, monkeypatch):
    trackers.TRACKERS["mlflow"](tmp_path / "run", {})
    assert heard.of("set_tracking_uri") == [(((tmp_path / "run.mlflow").as_uri(),), {})]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    trackers.TRACKERS["mlflow"](tmp_path / "run", {})
    assert len(heard.of("set_tracking_uri")) == 1


@pytest.mark.parametrize(("name", "call"), [("wandb", "init"), ("mlflow", "set_experiment")])
def test_trouble_of_a_tracker_is_a_sentence(heard, tmp_path, monkeypatch, name, call):
    def trouble(*args: object, **settings: object) -> None:
        raise ValueError("No API key configured.\nUse login.")

    monkeypatch.setattr(heard, call, trouble, raising=False)
    with pytest.raises(InputError, match=rf"^--track {name}: No API key configured\.\n"):
        trackers.TRACKERS[name](tmp_path / "run", {})


def test_tensorboard_itself_writes_what_it_is_told(tmp_path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    made = trackers.TRACKERS["tensorboard"](tmp_path / "run", {"seed": 1})
    made.log(0, METRICS)
    made.close()
    found = loader.EventAccumulator(str(tmp_path / "run.tensorboard")).Reload()
    assert [(e.step, round(e.value, 6)) for e in found.Scalars("member-0/val_auc")] == [(3, 0.9)]


def test_mlflow_itself_writes_what_it_is_told(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    made = trackers.TRACKERS["mlflow"](tmp_path / "run", {"seed": 1})
    made.log(0, METRICS)
    made.close()
    (found,) = mlflow.search_runs(experiment_names=["lensctl"], output_format="list")
    assert found.data.metrics == {"member-0/val_auc": 0.9}
    assert found.data.params == {"seed": "1"}
    assert (tmp_path / "run.mlflow").is_dir()


def test_wandb_itself_writes_offline_what_it_is_told(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    made = trackers.TRACKERS["wandb"](tmp_path / "run", {"seed": 1})
    made.log(0, METRICS)
    made.close()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_one_that_is_not_installed_or_not_known_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="'mlflow' is not installed"):
        trackers.refuse_missing("mlflow")
    with pytest.raises(InputError, match="did you mean 'wandb'"):
        trackers.refuse_missing("wandbb")
