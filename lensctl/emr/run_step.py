"""What a step does on the cluster: the command line of the laptop, by the wheel that was submitted, and a record."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lensctl.emr import proof
from lensctl.emr import wheel as wheels
from lensctl.emr.work import Work
from lensctl.io.storage import s3
from lensctl.rules.errors import LensctlError

CANNOT = 2


def run_step(work: Work, tell: Callable[[str], None]) -> proof.StepRecord:
    """Run the command and write the record of what it made, whichever way it ended.

    `tell` is given a line for people where the command ran out of time.

    Raises LensctlError, before anything is done, where another wheel than the one submitted is installed here.
    """
    installed = wheels.installed()
    if installed != work.wheel:
        raise LensctlError(f"this cluster has the wheel {installed}, submitted was {work.wheel}", "start a new cluster")
    before = {url: proof.listing(url) for url in work.outputs}
    with tempfile.TemporaryDirectory() as folder:
        words = list(work.command)
        if work.config:
            s3.download(work.config, Path(folder) / "config.yaml")
            words += ["--config", f"{folder}/config.yaml"]
        status, said = _run(words, work.hours, tell)
    after = {url: proof.listing(url) for url in work.outputs}
    made = proof.made(before, after, work.command[0])
    record = proof.StepRecord(installed, list(work.command), status, json.loads(said[-1]) if said else None, made)
    record.write(work.record)
    return record


def _run(words: list[str], hours: float, tell: Callable[[str], None]) -> tuple[int, list[str]]:
    """Exit status and stdout of a lensctl command, ended after some hours; its stderr goes where ours does."""
    line = [sys.executable, "-m", "lensctl", *words]
    try:
        done = subprocess.run(line, stdout=subprocess.PIPE, timeout=3600 * hours, check=False)
    except subprocess.TimeoutExpired:
        tell(f"error: not done after {hours:g} h, and ended\n  fix: submit it again: it goes on")
        return CANNOT, []
    return done.returncode, done.stdout.decode().strip().splitlines() if not done.returncode else []
