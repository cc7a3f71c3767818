"""`lensctl`: finds the command, runs it, and maps every outcome to an exit status."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from lensctl import __version__
from lensctl.cli.command import app
from lensctl.rules.errors import InputError, LensctlError, ReaderGone

COMMANDS = {
    "sky": "Make a mock survey, laid out like the Legacy Surveys.",
    "crossmatch": "Match a lens catalogue to the survey: positives with tiers.",
    "pool": "Make the pool of negatives from sweeps or Tractor files.",
    "sample": "Draw stratified negatives from a pool, reproducibly.",
    "cutout": "Cut images of the galaxies in a table into a store.",
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
    "emr": "Run pool, sample or cutout on an EMR cluster.",
    "show": "Describe a file and its provenance; draw cutouts.",
    "doctor": "Check this machine: versions, GPU, AWS, services.",
}
"""Commands and the first line of their help, listed without importing the commands."""

PASSED, CANNOT, BUG, INTERRUPTED, READER_GONE = 0, 2, 3, 130, 141


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lensctl {__version__}")
        raise typer.Exit


@app.callback()
def lensctl(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """From a survey on disk to a verified, frozen strong-lens finder: one command per step, files in, files out.

    Terms are explained in docs/glossary.md.
    """


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit status; see "What the exit codes mean" in the README."""
    argv = (sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        if "" in argv:
            raise InputError("an argument is empty", "is a shell variable unset?")
        if argv and argv[0] in COMMANDS:
            importlib.import_module(f"lensctl.cli.{argv[0]}")
        else:
            for name, summary in COMMANDS.items():
                app.command(name, help=summary)(lambda: None)  # only for the list of commands
        status = app(argv, standalone_mode=False) or PASSED  # only a gate or verify returns 1
        return _say(INTERRUPTED, "interrupted") if status == INTERRUPTED else int(status)
    except LensctlError as error:
        return _say(CANNOT, f"error: {error}", error.fix and f"  fix: {error.fix}")
    except typer.TyperException as error:
        return _say(CANNOT, f"error: {error.format_message()}", "  fix: see --help")
    except ReaderGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except (KeyboardInterrupt, typer.Abort):
        return _say(INTERRUPTED, "interrupted")
    except SystemExit as ending:  # Typer exits with 1 when the reader of --help closes the pipe
        return READER_GONE if ending.code == 1 else int(ending.code or 0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(
            CANNOT, f"error: {where}{error.strerror or error}", "  fix: check the path, permissions and disk space"
        )
    except Exception:
        traceback.print_exc()
        return _say(BUG, "error: this is a bug in lensctl; please report the lines above")


def run() -> NoReturn:
    """Entry point of `lensctl`: run the command line and exit with its status.

    Exits immediately once output is flushed: native library threads that outlive the interpreter would otherwise
    sometimes abort the process (status 134) after its work is done.
    """
    status = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            status = READER_GONE
    os._exit(status)


def _say(status: int, *lines: str) -> int:
    for line in lines:
        if line:
            print(line, file=sys.stderr)
    return status
