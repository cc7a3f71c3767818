"""The pages of the documentation, and the commands that stand in them."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import typer

from lensctl.cli.command import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
OUTSIDE = [
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "emr_bootstrap/README.md")
]
"""What is read where it lies, and what mkdocs does not check."""


def script(name: str) -> ModuleType:
    """One of the scripts of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, DOCS / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(text: str) -> list[str]:
    """Every `lensctl …` in the blocks of a page, one line each; those with an ellipsis are no whole commands."""
    blocks = re.findall(r"^ *```(?:yaml)?\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = (re.search(r"(?:^|[$|] |run: |-m )\s*(lensctl .*)", line) for line in lines)
    parts = (part for line in found if line for part in re.split(r" \| (?=lensctl)", line[1]))
    return [re.split(r" [>#|]", part)[0] for part in parts if "…" not in part]


def parse(line: str) -> None:
    """Have the command line's own parser read a command; it raises for what `lensctl` would not take."""
    words = shlex.split(line)[1:]
    importlib.import_module(f"lensctl.cli.{words[0]}")
    of = typer.main.get_command(app).commands[words[0]]
    subs = getattr(of, "commands", {})
    of, words = (subs[words[1]], words[1:]) if subs else (of, words)
    of.make_context(words[0], words[1:])


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings."""
    words = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", word.lower()).strip()) for word in words}
