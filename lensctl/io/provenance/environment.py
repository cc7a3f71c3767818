"""The running lensctl: commit of its source, whether that was clean, and versions of its dependencies."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from lensctl.io import programs
from lensctl.rules.config import json_value

PACKAGE = Path(__file__).resolve().parents[2]
GIT_SECONDS = 20


def source_commit(package: Path = PACKAGE) -> dict[str, Any]:
    """Commit, and whether the package was unmodified; both None if unknown.

    In a checkout, HEAD, clean if nothing in the package differs from it; for an installation by pip from a repository,
    the commit recorded by pip.
    """
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py")  # or the repository is someone else's
    commit = _git(package, "rev-parse", "HEAD") if tracked else None
    if commit is None:
        return _commit_from_pip()
    return {"commit": commit, "clean": _git(package, "status", "--porcelain", "--", ".") == ""}


def installed_versions() -> dict[str, str]:
    """Versions of Python and of every direct dependency, by name."""
    found = {"python": platform.python_version()}
    found |= {name: metadata.version(name) for name in requirements()[""]}
    return dict(sorted(found.items()))


def requirements(package: str = "lensctl") -> dict[str, list[str]]:
    """A package's dependencies by extra; the mandatory ones under ''."""
    found: dict[str, list[str]] = {"": []}
    for line in metadata.requires(package) or []:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"""extra\s*==\s*["']([^"']+)["']""", line)
        if name:
            found.setdefault(extra[1] if extra else "", []).append(name[0])
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of git in a folder; None if git fails or is missing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = programs.run(
            ["git", "--no-optional-locks", *arguments], seconds=GIT_SECONDS, cwd=folder, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


def _commit_from_pip() -> dict[str, Any]:
    note = metadata.distribution("lensctl").read_text("direct_url.json")
    commit = json_value(note).get("vcs_info", {}).get("commit_id") if note else None
    return {"commit": commit, "clean": None if commit is None else True}
