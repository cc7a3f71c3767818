from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from lensctl.learning import track
from lensctl.words.errors import InputError

METRICS = {"epoch": 3, "val_auc": 0.9, "val_ece": None}


class Heard:
    """Stands in for a tracker's package: notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def __getattr__(self, name: str):
        def call(*args: object, **settings: object) -> Heard:
            self.calls.append((name, args, settings))
            return self

        return call

    def of(self, name: str) -> list[tuple[tuple[object, ...], dict[str, object]]]:
        return [(args, settings) for called, args, settings in self.calls if called == name]


@pytest.fixture
def heard(monkeypatch) -> Heard:
    made = Heard()
    monkeypatch.setitem(sys.modules, "wandb", made)
    monkeypatch.setitem(sys.modules, "mlflow", made)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=made.SummaryWriter))
    return made


def test_tensorboard_stands_beside_the_run_and_gets_a_scalar_a_metric(heard, tmp_path):
    made = track.TRACKERS["tensorboard"](tmp_path / "run", {"seed": 1})
    made.log(0, METRICS)
    made.close()
    assert heard.of("SummaryWriter") == [((str(tmp_path / "run.tensorboard"),), {})]
    assert heard.of("add_scalar") == [(("member-0/val_auc", 0.9, 3), {})]
    assert heard.of("close")


def test_wandb_gets_the_config_and_the_metrics(heard, tmp_path):
    made = track.TRACKERS["wandb"](tmp_path / "run", {"seed": 1})
    made.log(2, METRICS)
    made.close()
    assert heard.of("init") == [((), {"project": "lensctl", "name": "run", "config": {"seed": 1}})]
    assert heard.of("log") == [(({"member-2/val_auc": 0.9, "epoch": 3},), {})]
    assert heard.of("finish")


def test_mlflow_gets_the_config_and_the_metrics(heard, tmp_path):
    made = track.TRACKERS["mlflow"](tmp_path / "run", {"seed": 1})
    made.log(0, METRICS)
    made.close()
    assert heard.of("log_params") == [(({"seed": 1},), {})]
    assert heard.of("log_metrics") == [(({"member-0/val_auc": 0.9},), {"step": 3})]
    assert heard.of("end_run")


def test_one_that_is_not_installed_or_not_known_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="'mlflow' is not installed"):
        track.refuse_missing("mlflow")
    with pytest.raises(InputError, match="did you mean 'wandb'"):
        track.refuse_missing("wandbb")
