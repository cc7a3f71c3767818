"""`lensctl`: finds the command, runs it, and maps every outcome to an exit status."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Annotated, Literal, NoReturn

import typer
import typer.completion

from lensctl import __version__
from lensctl.cli import report
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

NETWORK_PACKAGES = {"torch", "torchvision"}
"""What a light install leaves out."""

COMPLETING = "_LENSCTL_COMPLETE"
"""Environment variable by which a shell asks to complete a command line."""

Shell = Literal["bash", "zsh", "fish", "powershell", "pwsh"]

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
    install_completion: Annotated[
        Shell | None,
        typer.Option(help="Make a shell complete command lines.", callback=typer.completion.install_callback),
    ] = None,
    show_completion: Annotated[
        Shell | None,
        typer.Option(help="Print the script that does so.", callback=typer.completion.show_callback),
    ] = None,
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
        name = _named(argv)
        if name in COMMANDS:
            importlib.import_module(f"lensctl.cli.{name}")
        else:
            for other, summary in COMMANDS.items():
                app.command(other, help=summary)(lambda: None)  # only for the list of commands
        status = app(argv, prog_name="lensctl", standalone_mode=False) or PASSED  # only a gate or verify returns 1
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
    except MemoryError:
        return _say(CANNOT, "error: there is not enough memory", "  fix: use a machine with more, or a smaller input")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] in NETWORK_PACKAGES:
            return _say(
                CANNOT,
                f"error: `lensctl {argv[0]}` needs torch and torchvision, which are not installed",
                "  fix: pip install lensctl with its dependencies (see 'Without torch' in the README)",
            )
        traceback.print_exc()
        return _say(BUG, "error: this is a bug in lensctl; please report the lines above")


def _named(argv: list[str]) -> str:
    """The command in a command line, or in the one that a shell wants completed; "" if there is none."""
    if COMPLETING in os.environ:
        typer.completion.completion_init()  # type: ignore[attr-defined]
        argv = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()[1:]
    return argv[0] if argv else ""


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
            report.complain(line)
    return status
