"""Which lensctl this is: commit, clean or not, libraries."""

from __future__ import annotations

import platform
import shutil
import subprocess

import numpy as np
import pytest

from lensctl.io.provenance.environment import installed_versions, source_commit

NOTHING = {"commit": None, "clean": None}


@pytest.fixture
def checkout(tmp_path):
    """A repository with a package in it, committed."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (tmp_path / "notes").write_text("")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "one")
    return package


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_checkout_tells_its_commit_and_that_it_is_clean(checkout):
    assert source_commit(checkout) == {"commit": git(checkout, "rev-parse", "HEAD"), "clean": True}


def test_only_what_is_in_the_package_makes_it_unclean(checkout):
    (checkout.parent / "notes").write_text("more")
    assert source_commit(checkout)["clean"] is True
    (checkout / "more.py").write_text("")
    assert source_commit(checkout)["clean"] is False
    (checkout / "more.py").unlink()
    (checkout / "__init__.py").write_text("import os")
    assert source_commit(checkout)["clean"] is False


def test_a_package_that_lies_in_someone_elses_repository_tells_nothing(checkout):
    other = checkout.parent / "venv"
    other.mkdir()
    (other / "__init__.py").write_text("")
    assert source_commit(other) == NOTHING


def test_the_repository_of_a_hook_that_runs_this_does_not_count(checkout, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(checkout / "nowhere"))
    assert source_commit(checkout)["clean"] is True


def test_without_git_nothing_is_told(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert source_commit(checkout) == NOTHING


def test_the_environment_names_each_library_that_lensctl_requires():
    found = installed_versions()
    assert found["numpy"] == np.__version__
    assert found["python"] == platform.python_version()
    assert {"torch", "zarr", "duckdb", "typer"} < set(found)
    assert "pytest" not in found
