"""What `selection attach` asks for: a frozen toy, a selection function of it, and lines of both gates on that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lensctl.frozen import layout
from lensctl.frozen.selection_folder import other_files
from lensctl.frozen.selection_level import LIMITS, closure_limit, closure_of
from lensctl.gates import gate
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, extend, from_json, step_input, to_list
from lensctl.io.tables.files import write_table
from lensctl.rules.checks import Check
from lensctl.selection import attach
from tests.toys import frozen as frozen_toy
from tests.toys.measured_injections import Toy, fitted

NAME = "p=0.5"
TABLES = ("injections", "hosts", "real", "draws", "cells", "closure")
LINES = 11
"""Of the gates of a small bundle."""

_MADE: dict[str, Path] = {}


def fitted_bundle(factory: pytest.TempPathFactory) -> Path:
    """frozen/, tables, selection/ as `selection fit` writes it, and gates.jsonl; made once: do not change it."""
    if "fitted" not in _MADE:
        folder = factory.mktemp("fitted")
        shutil.copytree(frozen_toy.bundle(factory) / "frozen", folder / "frozen")
        toy = Toy(folder / "frozen", hosts=600)
        toy.write(folder, real=toy.stamped(toy.real_columns()))
        fitted(folder, folder / "selection", folder / "frozen", real=folder / "real.parquet")
        told = gate("realism,selection", folder / "selection", output=folder / "gates.jsonl")
        assert told["passed"]
        _MADE["fitted"] = folder
    return _MADE["fitted"]


def bundle(factory: pytest.TempPathFactory) -> Path:
    """The same in small: tables of two rows, and lines that no gate has written; made once: do not change it."""
    if "bundle" not in _MADE:
        folder = factory.mktemp("attaching")
        shutil.copytree(frozen_toy.bundle(factory) / "frozen", folder / "frozen")
        write_selection(folder)
        _MADE["bundle"] = folder
    return _MADE["bundle"]


def write_selection(folder: Path) -> None:
    """selection/ and gates.jsonl of the frozen/ in a folder."""
    frozen, out = folder / "frozen", folder / "selection"
    for name in ("tables", "plots"):
        (out / name).mkdir(parents=True)
    (out / "plots" / "curves.png").write_bytes(b"a picture")
    (out / "evaluate.py").write_text("MODEL = {}\n")
    tables = {name: pa.table({"x": [number, 2]}) for number, name in enumerate(TABLES)}
    for name, table in tables.items():
        write_table(table, str(out / "tables" / f"{name}.parquet"))
    facts = json.loads((frozen / layout.FROZEN).read_text())
    points = json.loads((frozen / layout.THRESHOLDS).read_text())["points"]
    chain = from_json((frozen / layout.PROVENANCE).read_bytes(), "frozen")
    source = step_input("frozen", "frozen", digests.of_file(frozen / layout.SUMS), chain)
    selection = {
        "exploratory": False,
        "mock": facts["mock"],
        "model": "frozen",
        "model_digest": facts["model_digest"],
        "axes": ["theta_e", "mag_z"],
        "thresholds": [{"name": NAME, "logit": point["logit"]} for point in points if point["name"] == NAME],
        "tables": {name: {"rows": 2, "digest": digests.of_table(table)} for name, table in tables.items()},
        "files": {name: digests.of_file(out / name) for name in other_files(out)},
        "provenance": to_list(extend(Step("selection fit", {}, (source,)), chain)),
    }
    (out / "selection.json").write_text(json.dumps(selection))
    digest = digests.of_file(out / "selection.json")
    checks = [Check("realism", check, True, 0.55, 0.5, 0.6, limit, 300) for check, limit in LIMITS.items()]
    checks += [Check("realism", "hosts to judge", True, 9, limit=">= 1", n=9)]
    checks += [Check("selection", closure_of(NAME), True, 0.0, -0.05, 0.05, closure_limit(0.1, 0.95), 300)]
    checks += [Check("selection", closure_of(NAME, part), True, 0.0, -0.05, 0.05, n=200) for part in ("A", "B", "half")]
    write_lines(folder, [check.of(digest).as_dict() for check in checks])


def attached(factory: pytest.TempPathFactory) -> Path:
    """A folder in which out/ is the attachment of a small bundle; made once: do not change it."""
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
    path = folder / "selection" / "selection.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, **changes}))
    digest = digests.of_file(path)
    write_lines(folder, [{**line, "input_digest": digest} for line in lines_of(folder)])
