"""Programs to compare with, which are no part of the project: installed for one run."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path


class Absent(Exception):
    """A peer could not be installed; the message says why."""


def installed(folder: Path, *packages: str) -> Path:
    """The folder of programs of a new environment with some packages from the package index; Absent where it fails."""
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "-q", *packages]
    got = subprocess.run(command, capture_output=True, text=True, check=False)
    if got.returncode:
        raise Absent(f"absent: pip could not install it ({got.stderr.strip().splitlines()[-1][:120]})")
    return folder / "bin"
