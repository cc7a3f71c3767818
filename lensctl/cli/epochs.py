"""Training progress: a live table on a terminal, log lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lensctl.cli import report
from lensctl.cli.pace import Pace

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lensctl.io.reporter import Progress
    from lensctl.train.fitting import TrainProgress

SHOWN = {
    "train_loss": "train loss",
    "val_loss": "val loss",
    "train_auc": "train AUC",
    "val_auc": "val AUC",
    "val_precision_at_recall_90": "precision at recall 0.9",
    "val_recall_at_precision_90": "recall at precision 0.9",
    "val_ece": "ECE",
}


FORECAST_STEPS, FORECAST_SECONDS = 20, 10.0
"""A forecast of the time is made from so many steps, or so many seconds of steps if they are slow."""


class TrainingDisplay(Protocol):
    """Shows the progress of a run."""

    def read(self, done: int, note: str = "", total: int | None = None) -> None:
        """Report that `done` more cutouts of `total` were read and checked, before training starts."""

    def event(self, event: TrainProgress) -> None:
        """Report a batch, an epoch or a note."""


class SilentDisplay:
    """For processes other than rank 0."""

    def read(self, done: int, note: str = "", total: int | None = None) -> None:
        """Do nothing."""

    def event(self, event: TrainProgress) -> None:
        """Do nothing."""


class Forecast:
    """How long a run will take, by the speed of its first steps; said once."""

    def __init__(self) -> None:
        self.steps, self.said = 0, False
        self.started: float | None = None

    def of(self, event: TrainProgress, now: float) -> str:
        """The forecast, once a batch completes what it is made from; else an empty text."""
        if self.said or not event.batch or event.metrics is not None:
            return ""
        if self.started is None:  # the first step also prepares what the others use
            self.started = now
            return ""
        self.steps += 1
        seconds = now - self.started
        if (self.steps < FORECAST_STEPS and seconds < FORECAST_SECONDS) or not seconds or not event.steps_left:
            return ""
        self.said = True
        hours = event.steps_left * seconds / self.steps / 3600
        rate = self.steps * event.samples / seconds
        return (
            f"{rate:,.0f} cutouts/s over {self.steps} of the first steps: {hours:.2f} hours for the "
            f"{event.steps_left:,} steps to come, or less if training stops early"
        )


class LogLines:
    """A line per epoch, and an occasional one between epochs; of reading before them."""

    def __init__(self, ensemble: int, reading: Progress) -> None:
        self.ensemble, self.reading = ensemble, reading
        self.forecast = Forecast()
        self.pace: Pace | None = None
        self.printed = time.monotonic()

    def read(self, done: int, note: str = "", total: int | None = None) -> None:
        """Advance the count."""
        self.reading(done, note, total)

    def event(self, event: TrainProgress) -> None:
        """Print an epoch's metrics, any note, and now and then how far it is."""
        prefix, now = _member_prefix(event.member, self.ensemble), time.monotonic()
        forecast = self.forecast.of(event, now)
        if event.metrics is not None:
            report.say(self._line(event))
        elif event.batch:
            self._advance(event, prefix, now)
        for line in [*event.note.splitlines(), *([forecast] if forecast else [])]:
            report.say(prefix + line)

    def _advance(self, event: TrainProgress, prefix: str, now: float) -> None:
        """Count a batch; the first one starts the clock, so that neither reading nor preparing is in the rate."""
        if self.pace is None:
            self.pace, self.printed = Pace(now), now
            return
        self.pace.advance(event.samples, now)
        if now - self.printed >= report.PLAIN_LINE_EVERY_SECONDS:
            self.printed = now
            left = self.pace.left(event.steps_left * event.samples, now)
            report.say(
                f"{prefix}training: epoch {event.epoch} of {event.epochs}, batch {event.batch} of {event.batches}, "
                f"{self.pace.rate(now):,.0f} cutouts/s, {left}"
            )

    def _line(self, event: TrainProgress) -> str:
        metrics = event.metrics or {}
        prefix = _member_prefix(event.member, self.ensemble)
        parts = [f"{name} {metrics[key]:.3f}" for key, name in SHOWN.items() if metrics[key] is not None]
        return f"{prefix}epoch {metrics['epoch']} of {event.epochs}: {', '.join(parts)}"


class LiveTable:
    """A row per epoch, each member's best in bold, and a progress bar for the current epoch."""

    def __init__(self, ensemble: int) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.ensemble, self.forecast = ensemble, Forecast()
        self.rows: list[tuple[int, Mapping[str, Any]]] = []
        self.finished = False
        left = TimeRemainingColumn(compact=True)
        parts = (TextColumn("{task.description}"), BarColumn(report.BAR), TextColumn("{task.fields[rate]}"), left)
        self.bar = Bar(*parts)
        self.task = self.bar.add_task("reading cutouts", total=None, rate="")
        self.cutouts, self.training = 0, False
        self.live = Live(
            get_renderable=self._render, console=Console(stderr=True, width=report.width()), refresh_per_second=4
        )

    def __enter__(self) -> LiveTable:
        self.live.start()
        return self

    def __exit__(self, *ending: object) -> None:
        self.finished = True
        self.live.stop()

    def read(self, done: int, note: str = "", total: int | None = None) -> None:
        """Show the count in the bar."""
        self.cutouts += done
        self.bar.update(self.task, completed=self.cutouts, total=total, rate=f"{self.cutouts:,}")

    def event(self, event: TrainProgress) -> None:
        """Move the bar, add a row, or print a note above the table."""
        if event.metrics is not None:
            self.rows.append((event.member, event.metrics))
        elif event.batch == 1 or (event.batch and not self.training):
            self.training = True
            self.bar.reset(self.task, total=event.batches, completed=event.batch)
        elif event.batch:
            self.bar.update(self.task, completed=event.batch)
        if event.batch and event.metrics is None:
            prefix = _member_prefix(event.member, self.ensemble)
            speed = self.bar.tasks[self.task].speed or 0.0
            rate = f"{speed * event.samples:,.0f} cutouts/s" if speed else ""
            self.bar.update(self.task, description=f"{prefix}epoch {event.epoch} of {event.epochs}", rate=rate)
        forecast = self.forecast.of(event, time.monotonic())
        for line in [*event.note.splitlines(), *([forecast] if forecast else [])]:
            note = _member_prefix(event.member, self.ensemble) + line
            self.live.console.print(note, highlight=False, markup=False)

    def _render(self) -> RenderableType:
        """The bar and the latest epochs that fit the terminal; all epochs once the run is finished."""
        from rich.console import Group

        from lensctl.cli.tables import drawn, figure

        if not self.rows:
            return self.bar
        columns = (*(["member"] if self.ensemble > 1 else []), "epoch", "lr", *SHOWN.values())
        room = len(self.rows) if self.finished else max(1, self.live.console.height - 9)
        rows, styles = [], []
        for member, metrics in self.rows[-room:]:
            values = [figure("–" if metrics[key] is None else f"{metrics[key]:.3f}") for key in SHOWN]
            owner = [member] if self.ensemble > 1 else []
            rows.append((*owner, metrics["epoch"], figure(f"{metrics['lr']:.1e}"), *values))
            best = max((row for owner, row in self.rows if owner == member), key=lambda row: row["val_auc"])
            styles.append("bold" if metrics is best else None)
        table = drawn("", columns, rows, self.live.console.width, styles=styles)
        return table if self.finished else Group(table, self.bar)


def _member_prefix(member: int, ensemble: int) -> str:
    return f"member {member}, " if ensemble > 1 else ""


@contextmanager
def training_display(ensemble: int, visible: bool) -> Iterator[TrainingDisplay]:
    """The display for this process: silent, a live table, or log lines."""
    if not visible:
        yield SilentDisplay()
    elif report.is_alive():
        with LiveTable(ensemble) as table:
            yield table
    else:
        with report.progress("reading cutouts", None) as reading:
            yield LogLines(ensemble, reading)
