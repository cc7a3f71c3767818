"""Pages that are made from the code are those that it makes."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from lensctl.cli.main import COMMANDS
from lensctl.evaluate import evaluate
from lensctl.io.cutouts.store import open_store
from lensctl.rules import schema
from tests.docs.pages import DOCS
from tests.toys import attaching
from tests.toys import frozen as frozen_toy
from tests.toys.injections import make_injections

MADE = ("reference/commands", "reference/gates", "reference/files")


@pytest.mark.parametrize("page", MADE)
def test_a_made_page_is_what_its_script_prints(page):
    printed = subprocess.run([sys.executable, DOCS / f"{page}.py"], capture_output=True, text=True, check=True).stdout
    assert printed == (DOCS / f"{page}.md").read_text(), "run: make pages"


def test_every_command_has_its_section():
    text = (DOCS / "reference" / "commands.md").read_text()
    assert [name for name in COMMANDS if f"\n## lensctl {name}\n" not in text] == []


def test_every_declared_column_is_on_the_page():
    text = (DOCS / "reference" / "files.md").read_text()
    templates = [column for group in vars(schema).values() if isinstance(group, tuple) for column in group
                 if isinstance(column, schema.Column)]  # fmt: skip
    assert len(templates) > 80
    assert [column.name for column in templates if f"| `{column.name}` | {column.type} |" not in text] == []


def test_every_column_of_an_injected_store_is_on_the_page(tmp_path):
    text = (DOCS / "reference" / "files.md").read_text()
    store = open_store(make_injections(tmp_path, count=2, per_host=1))
    known = re.findall(r"^\| `([^`]+)` \| (\w+) \|", text, re.MULTILINE)
    roles = [{"band": band, "depth": "z", "bluest": "g", "second": "r", "bluer": "g", "redder": "r"} for band in "grz"]
    types = {name.format(**role): kind for name, kind in known for role in roles}
    found = {field.name: str(field.type) for field in store.index.schema if not field.name.startswith("meta_")}
    assert {name: kind for name, kind in found.items() if types.get(name) != kind} == {}


def test_the_tables_of_an_evaluation_have_the_columns_on_the_page(tmp_path):
    with frozen_toy.tiny_network():
        frozen_toy.make(tmp_path)
    evaluate(tmp_path / "scores.parquet", tmp_path / "whole", rounds=100)
    compare(tmp_path / "whole" / "tables", page()["Tables of an evaluation"][1])


def test_the_tables_of_a_selection_function_have_the_columns_on_the_page(tmp_path_factory):
    folder = attaching.fitted_bundle(tmp_path_factory) / "selection" / "tables"
    compare(folder, page()["Tables of a selection function"][1])


def page() -> dict:
    """TABLES of docs/reference/files.py."""
    return runpy.run_path(str(DOCS / "reference" / "files.py"), run_name="files")["TABLES"]


def compare(folder, tables):
    """Every table that is written is on the page with its columns, and those have no others."""
    written = {path.stem: set(pq.read_schema(path).names) for path in folder.glob("*.parquet")}
    assert set(written) <= set(tables)
    for name, columns in written.items():
        text = tables[name][1].replace("{depth}", "z")
        listed = set(re.findall(r"[a-z]\w*", re.sub(r"\([^)]*\)", "", text)))
        if "columns of" not in text:
            ends = "" if "each with" not in text else "(_low|_high|_few|_why)$"
            assert {re.sub(ends, "", column) for column in columns} <= listed, name
        if not re.search("columns of|of the scores|each with", text):
            assert listed <= columns | {"confuser_category"}, name  # the toy's scores have none
