"""A frozen toy, a selection function fitted to it, and lines of both gates on that: all that `attach` asks for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lensctl.gates import gate
from lensctl.selection import attach
from tests.toys import frozen as frozen_toy
from tests.toys.measured_injections import Toy, fitted

GATES = "realism,selection"
_MADE: dict[str, Path] = {}


def bundle(factory: pytest.TempPathFactory) -> Path:
    """A folder with frozen/, tables, selection/ and gates.jsonl; made once: do not change it."""
    if "bundle" not in _MADE:
        folder = factory.mktemp("attaching")
        shutil.copytree(frozen_toy.bundle(factory) / "frozen", folder / "frozen")
        toy = Toy(folder / "frozen", hosts=600)
        toy.write(folder, real=toy.stamped(toy.real_columns()))
        fitted(folder, folder / "selection", folder / "frozen", real=folder / "real.parquet")
        told = gate(GATES, folder / "selection", set=["realism.folds=2"], output=folder / "gates.jsonl")
        assert told["passed"]
        _MADE["bundle"] = folder
    return _MADE["bundle"]


def attached(factory: pytest.TempPathFactory) -> Path:
    """A folder in which out/ is the attachment of a bundle; made once: do not change it."""
    if "attached" not in _MADE:
        made, folder = bundle(factory), factory.mktemp("attached")
        with frozen_toy.tiny_network():
            attach(made / "frozen", made / "selection", folder / "out", gates=made / "gates.jsonl")
        _MADE["attached"] = folder
    return _MADE["attached"]


def copy_of(made: Path, folder: Path) -> Path:
    """A bundle that may be spoiled."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of a bundle's gates."""
    return [json.loads(text) for text in (folder / "gates.jsonl").read_text().splitlines()]


def write_lines(folder: Path, lines: list[dict[str, Any]]) -> None:
    (folder / "gates.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def change_facts(folder: Path, **changes: Any) -> None:
    """Change selection.json, and the digests of the gates' lines along with it."""
    from lensctl.io.provenance import digests

    path = folder / "selection" / "selection.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, **changes}))
    digest = digests.of_file(path)
    write_lines(folder, [{**line, "input_digest": digest} for line in lines_of(folder)])
