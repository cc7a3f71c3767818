"""Training progress off a terminal: reading and training apart, the rate of the last minute, the time left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lensctl.cli import epochs, report
from lensctl.cli.epochs import Forecast, LogLines
from lensctl.train.fitting import TrainProgress

METRICS = dict.fromkeys(epochs.SHOWN, 0.5) | {"epoch": 1, "val_auc": None}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def batches(count: int, of: int = 3000):
    for k in range(count):
        yield TrainProgress(0, 1 + k // 100, 30, 1 + k % 100, 100, 256, steps_left=of - 1 - k)


def test_reading_and_training_have_rates_of_their_own(clock, capsys):
    with report.progress("reading cutouts", None) as reading:
        lines = LogLines(1, reading)
        for _ in range(12):
            clock.now += 1
            lines.read(100, total=2000)
        clock.now += 500  # the network is made meanwhile
        for event in batches(13):
            lines.event(event)
            clock.now += 1
    reading_line, *rest = capsys.readouterr().err.splitlines()
    assert reading_line == "reading cutouts: 1,000 of 2,000, 100/s, 0:00:10 left"
    assert (
        rest
        == [
            "256 cutouts/s over 10 of the first steps: 0.83 hours for the 2,989 steps to come, "
            "or less if training stops early",
            "training: epoch 1 of 30, batch 11 of 100, 256 cutouts/s, 0:49:49 left",
        ][::-1]
    )


def test_the_rate_is_that_of_the_last_minute(clock, capsys):
    lines = LogLines(1, lambda *given, **also: None)
    for k, event in enumerate(batches(300)):
        lines.event(event)
        clock.now += 10 if k < 100 else 0.5
    assert capsys.readouterr().err.splitlines()[-1].split(", ")[2:] == ["512 cutouts/s", "0:22:40 left"]


def test_a_forecast_is_made_once_from_twenty_steps_without_the_first():
    forecast, said = Forecast(), []
    now = 0.0
    for k, event in enumerate(batches(100)):
        now += 60.0 if k == 0 else 0.1
        said.append(forecast.of(event, now))
    assert [k for k, text in enumerate(said) if text] == [20]
    assert said[20].startswith("2,560 cutouts/s over 20 of the first steps: 0.08 hours for the 2,979 steps")


def test_a_run_that_is_over_before_says_no_forecast():
    forecast = Forecast()
    assert not any(forecast.of(event, 0.1 * k) for k, event in enumerate(batches(10, of=10)))


def test_an_epoch_is_a_line_and_each_line_of_a_note_has_its_member(capsys):
    lines = LogLines(2, lambda *given, **also: None)
    lines.event(TrainProgress(1, 1, 30, 100, 100, metrics=METRICS, note="a warning\nof two lines"))
    first, *notes = capsys.readouterr().err.splitlines()
    assert first.startswith("member 1, epoch 1 of 30: train loss 0.500, val loss 0.500, train AUC 0.500, precision")
    assert notes == ["member 1, a warning", "member 1, of two lines"]


def test_the_live_table_fits_80_columns_and_breaks_no_word(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table = epochs.LiveTable(3)
    for member in range(3):
        for epoch in (9, 10):
            known = METRICS | {"epoch": epoch, "lr": 9.1e-4, "val_auc": 0.9}
            table.event(TrainProgress(member, epoch, 30, 100, 100, metrics=known))
    stream = io.StringIO()
    Console(file=stream, width=80).print(table._render())
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    words = {word for line in lines for word in line.split()}
    assert words >= {word for name in ("member", "epoch", "lr", *epochs.SHOWN.values()) for word in name.split()}
    assert "…" not in stream.getvalue()
    assert stream.getvalue().count("9.1e-04") == 6


@pytest.mark.parametrize(("term", "kind"), [("dumb", LogLines), ("xterm", epochs.LiveTable)])
def test_a_dumb_terminal_gets_lines(monkeypatch, term, kind):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", term)
    with epochs.training_display(1, visible=True) as display:
        assert isinstance(display, kind)
