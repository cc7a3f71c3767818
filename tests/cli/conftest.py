"""Fixtures of tests that run command lines."""

from __future__ import annotations

import pytest

from lensctl.cli.main import main


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """Run a command line in `folder`, within this process: status, stdout, stderr."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        status = main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return status, out, err

    return run
