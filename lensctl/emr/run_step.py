"""What a step does on the cluster: run the submitted command line, and record its outputs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from lensctl.emr import proof
from lensctl.emr import wheel as wheels
from lensctl.emr.work import Work
from lensctl.io import programs
from lensctl.io.storage import s3
from lensctl.io.temporary import temporary_folder
from lensctl.rules.config import json_value
from lensctl.rules.errors import LensctlError

CANNOT = 2


def run_step(work: Work, tell: Callable[[str], None]) -> proof.StepRecord:
    """Run the command and write the record of its outputs, whether it succeeds or fails.

    `tell` is called with a message if the command exceeds its time limit.

    Raises LensctlError, before anything is done, if the installed wheel is not the submitted one.
    """
    installed = wheels.installed()
    if installed != work.wheel:
        raise LensctlError(f"this cluster has wheel {installed}, but {work.wheel} was submitted", "start a new cluster")
    before = {url: proof.listing(url) for url in work.outputs}
    with temporary_folder("emr") as folder:
        arguments = list(work.command)
        if work.config:
            s3.download(work.config, folder / "config.yaml")
            arguments += ["--config", f"{folder}/config.yaml"]
        status, stdout = _run(arguments, work.hours, tell)
    after = {url: proof.listing(url) for url in work.outputs}
    outputs = proof.changes(before, after, work.command[0])
    record = proof.StepRecord(
        installed, list(work.command), status, json_value(stdout[-1]) if stdout else None, outputs
    )
    record.write(work.record)
    return record


def _run(arguments: list[str], hours: float, tell: Callable[[str], None]) -> tuple[int, list[str]]:
    """Exit status and stdout lines of a lensctl command with a time limit; stderr is inherited."""
    line = [sys.executable, "-m", "lensctl", *arguments]
    try:
        done = programs.run(line, seconds=3600 * hours, show_stderr=True)
    except subprocess.TimeoutExpired:
        tell(f"error: not done after {hours:g} h, stopped\n  fix: submit it again to resume")
        return CANNOT, []
    if done.returncode < 0:  # killed by a signal, which shells count so
        return 128 - done.returncode, []
    return done.returncode, done.stdout.strip().splitlines() if not done.returncode else []
