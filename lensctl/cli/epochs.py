"""Training progress: a live table on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lensctl.cli import report

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


class TrainingDisplay(Protocol):
    """Shows the progress of a run."""

    def read(self, cutouts: int) -> None:
        """Report that `cutouts` more were read and checked, before training starts."""

    def event(self, event: TrainProgress) -> None:
        """Report a batch, an epoch or a note."""


class SilentDisplay:
    """For processes other than rank 0."""

    def read(self, cutouts: int) -> None:
        """Do nothing."""

    def event(self, event: TrainProgress) -> None:
        """Do nothing."""


class LogLines:
    """A line per epoch, and an occasional one between epochs."""

    def __init__(self, epochs: int, ensemble: int, advance: Progress) -> None:
        self.epochs, self.ensemble, self.advance = epochs, ensemble, advance

    def read(self, cutouts: int) -> None:
        """Advance the count."""
        self.advance(cutouts)

    def event(self, event: TrainProgress) -> None:
        """Print an epoch's metrics and any note."""
        self.advance(event.samples)
        if event.metrics is not None:
            report.say(self._line(event.member, event.metrics))
        if event.note:
            report.say(_member_prefix(event.member, self.ensemble) + event.note)

    def _line(self, member: int, metrics: Mapping[str, Any]) -> str:
        prefix = _member_prefix(member, self.ensemble)
        parts = [f"{name} {metrics[key]:.3f}" for key, name in SHOWN.items() if metrics[key] is not None]
        return f"{prefix}epoch {metrics['epoch']} of {self.epochs}: {', '.join(parts)}"


class LiveTable:
    """A row per epoch, each member's best in bold, and a progress bar for the current epoch."""

    def __init__(self, epochs: int, ensemble: int) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.epochs, self.ensemble = epochs, ensemble
        self.rows: list[tuple[int, Mapping[str, Any]]] = []
        self.finished = False
        left = TimeRemainingColumn(compact=True)
        self.bar = Bar(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), left)
        self.task = self.bar.add_task("reading cutouts", total=None, rate="")
        self.cutouts = 0
        self.live = Live(get_renderable=self._render, console=Console(stderr=True), refresh_per_second=4)

    def __enter__(self) -> LiveTable:
        self.live.start()
        return self

    def __exit__(self, *ending: object) -> None:
        self.finished = True
        self.live.stop()

    def read(self, cutouts: int) -> None:
        """Show the count in the bar."""
        self.cutouts += cutouts
        self.bar.update(self.task, rate=f"{self.cutouts:,}")

    def event(self, event: TrainProgress) -> None:
        """Move the bar, add a row, or print a note above the table."""
        if event.metrics is not None:
            self.rows.append((event.member, event.metrics))
        elif event.batch == 1 or (event.batch and self.bar.tasks[self.task].total is None):
            self.bar.reset(self.task, total=event.batches, completed=event.batch)
        elif event.batch:
            self.bar.update(self.task, completed=event.batch)
        if event.batch and event.metrics is None:
            prefix = _member_prefix(event.member, self.ensemble)
            speed = self.bar.tasks[self.task].speed or 0.0
            rate = f"{speed * event.samples:,.0f} cutouts/s" if speed else ""
            self.bar.update(self.task, description=f"{prefix}epoch {event.epoch} of {self.epochs}", rate=rate)
        if event.note:
            note = _member_prefix(event.member, self.ensemble) + event.note
            self.live.console.print(note, highlight=False, markup=False)

    def _render(self) -> RenderableType:
        """The bar and the latest epochs that fit the terminal; all epochs once the run is finished."""
        from rich.console import Group
        from rich.table import Table

        if not self.rows:
            return self.bar
        table = Table()
        for name in (*(["member"] if self.ensemble > 1 else []), "epoch", "lr", *SHOWN.values()):
            table.add_column(name.replace("precision", "prec."), justify="right", no_wrap=name == "lr")
        room = len(self.rows) if self.finished else max(1, self.live.console.height - 9)
        for member, metrics in self.rows[-room:]:
            values = ["–" if metrics[key] is None else f"{metrics[key]:.3f}" for key in SHOWN]
            member_cell = [str(member)] if self.ensemble > 1 else []
            best = max((row for owner, row in self.rows if owner == member), key=lambda row: row["val_auc"])
            style = "bold" if metrics is best else None
            table.add_row(*member_cell, str(metrics["epoch"]), f"{metrics['lr']:.1e}", *values, style=style)
        return table if self.finished else Group(table, self.bar)


def _member_prefix(member: int, ensemble: int) -> str:
    return f"member {member}, " if ensemble > 1 else ""


@contextmanager
def training_display(epochs: int, ensemble: int, visible: bool) -> Iterator[TrainingDisplay]:
    """The display for this process: silent, a live table, or log lines."""
    if not visible:
        yield SilentDisplay()
    elif sys.stderr.isatty():
        with LiveTable(epochs, ensemble) as table:
            yield table
    else:
        with report.progress("cutouts processed", None) as advance:
            yield LogLines(epochs, ensemble, advance)
