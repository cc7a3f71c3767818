"""`lensctl`: finds the command, runs it, and maps every outcome to an exit status.

Typer is imported once signals are heeded, so that Ctrl-C during imports ends like Ctrl-C later.
"""

from __future__ import annotations

import importlib
import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from lensctl.cli import report, signals, streams
from lensctl.rules.errors import InputError, LensctlError, ReaderGone
from lensctl.rules.object_names import refuse_undecoded

COMMANDS = {
    "sky": "Make a mock survey, laid out like the Legacy Surveys.",
    "crossmatch": "Match a lens catalogue to the survey: positives with tiers.",
    "pool": "Make the pool of negatives from sweeps or Tractor files.",
    "sample": "Draw negatives from a pool, reproducibly.",
    "cutout": "Cut images of the galaxies in a table into a store.",
    "inject": "Add lensed sources to cutouts of possible lenses.",
    "pack": "Pack a folder of .npz cutouts into a store.",
    "export": "Write the cutouts of a store as .npz files.",
    "sync": "Copy objects between S3 and disk, either way, verified.",
    "manifest": "Join positives, negatives and cutouts into a manifest.",
    "gate": "Check data or a model; exit status 1 means no.",
    "train": "Train a network on a manifest and its cutouts.",
    "score": "Score cutouts with a trained or frozen model.",
    "evaluate": "Evaluate a model: metrics, tables, plots, report.",
    "freeze": "Freeze a model: weights, thresholds, evidence, provenance.",
    "verify": "Verify that a frozen model is unchanged.",
    "search": "Search tables of galaxies with a frozen model.",
    "hosts": "Choose galaxies that could be lenses, to inject sources into.",
    "selection": "Measure which lenses a frozen model finds, and use it.",
    "emr": "Run pool, sample or cutout on an EMR cluster.",
    "show": "Describe a file and its provenance; draw cutouts.",
    "doctor": "Check this machine: versions, GPU, AWS, services.",
}
"""Commands and the first line of their help, listed without importing the commands."""

NETWORK_PACKAGES = {"torch", "torchvision"}
"""What a light install leaves out."""

COMPLETING = "_LENSCTL_COMPLETE"
"""Environment variable by which a shell asks to complete a command line."""

TAKE_EMPTY = ("--name-contains", "--label")
"""Options with a meaning for an empty word; elsewhere it is a shell variable that is not set."""

PASSED, CANNOT, BUG, INTERRUPTED, READER_GONE = 0, 2, 3, 130, 141


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit status; see "What the exit codes mean" in the README."""
    given = sys.argv[1:] if argv is None else argv
    return _status_of(lambda: _command(given), given)


def run() -> NoReturn:
    """Entry point of `lensctl`: run the command line and exit with its status.

    Exits immediately once output is flushed: native library threads that outlive the interpreter would otherwise
    sometimes abort the process (status 134) after its work is done.
    """

    def work() -> int:
        signals.heed()
        try:
            streams.prepare()
            status = _command(sys.argv[1:])
            sys.stdout.flush()
            return status
        finally:
            signals.ignore()

    status = _status_of(work, sys.argv[1:])
    sys.stderr.flush()
    os._exit(status)


def _command(argv: list[str]) -> int:
    """Run a command line; its result, or an exception however it ends."""
    from lensctl.cli.command import app

    argv = argv or ["--help"]
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if any(word == "" and before not in TAKE_EMPTY for before, word in itertools.pairwise(["", *words])):
        raise InputError("an argument is empty", "is a shell variable unset?")
    for word in argv:
        refuse_undecoded(word)
    name = _named(argv)
    if name in COMMANDS:
        importlib.import_module(f"lensctl.cli.{name}")
    else:
        for other, summary in COMMANDS.items():
            app.command(other, help=summary)(lambda: None)  # only for the list of commands
    status = app(argv, prog_name="lensctl", standalone_mode=False) or PASSED  # only a gate or verify returns 1
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return int(status)


def _status_of(work: Callable[[], int], argv: list[str]) -> int:
    """The exit status of what `work` does, with a message if it did not end well."""
    try:
        return work()
    except BaseException as error:
        if number := signals.received():  # whatever it led to
            return _say(signals.status_of(number), signals.ENDINGS[signal.Signals(number)])
        return _ending(error, argv)


def _ending(error: BaseException, argv: list[str]) -> int:
    """Say what went wrong; returns the exit status."""
    import typer

    match error:
        case LensctlError():
            return _say(CANNOT, f"error: {error}", error.fix and f"  fix: {error.fix}")
        case typer.TyperException():
            return _say(CANNOT, f"error: {error.format_message()}", "  fix: see --help")
        case ReaderGone():
            return READER_GONE
        case KeyboardInterrupt() | typer.Abort():
            return _say(INTERRUPTED, signals.ENDINGS[signal.SIGINT])
        case SystemExit():  # Typer exits with 1 on any broken pipe
            return _ending(error.__context__, argv) if error.__context__ else CANNOT if error.code else PASSED
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return _say(
                CANNOT, f"error: {where}{error.strerror or error}", "  fix: check the path, permissions and disk space"
            )
        case MemoryError():
            return _say(
                CANNOT, "error: there is not enough memory", "  fix: use a machine with more, or a smaller input"
            )
        case ModuleNotFoundError() if str(error.name).partition(".")[0] in NETWORK_PACKAGES:
            return _say(
                CANNOT,
                f"error: `lensctl {argv[0]}` needs torch and torchvision, which are not installed",
                "  fix: pip install lensctl with its dependencies (docs/howto/without-torch.md)",
            )
    traceback.print_exception(error)
    return _say(BUG, "error: this is a bug in lensctl; please report the lines above")


def _named(argv: list[str]) -> str:
    """The command in a command line, or in the one that a shell wants completed; "" if there is none."""
    if COMPLETING in os.environ:
        import typer.completion

        typer.completion.completion_init()  # type: ignore[attr-defined]
        argv = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()[1:]
    return argv[0] if argv else ""


def _say(status: int, *lines: str) -> int:
    for line in lines:
        if line:
            report.complain(line)
    return status
