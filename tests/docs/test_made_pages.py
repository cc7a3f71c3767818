"""Pages that are made from the code are those that it makes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from lensctl.cli.main import COMMANDS
from lensctl.io.cutouts.store import open_store
from lensctl.rules import schema
from tests.docs.pages import DOCS
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
