"""Fixtures that several test files share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real survey files; people who clone the project don't have it."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real survey files are not here (../shared/data)")
    return REAL_DATA


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lensctl(tmp_path: Path) -> Run:
    """Run `lensctl ARGS...` as a process in tmp_path; gives returncode, stdout and stderr."""

    def run(
        *args: object, stdin: bytes | None = None, env: dict[str, str] | None = None, cwd: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "lensctl", *map(str, args)],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env=env,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    return run
