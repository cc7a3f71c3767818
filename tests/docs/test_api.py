"""docs/api.md is what its script prints, and what it lists is there."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lensctl.cli.main import COMMANDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "api.md").read_text()
CALLS = re.findall(r"^\| `([\w.]+)` \| `(\w+)\(", TEXT, re.MULTILINE)
VALUES = [
    (place, name)
    for part in TEXT.split("### ")[1:]
    for place in [part.partition("`")[2].partition("`")[0]]
    for name in re.findall(r"^- `(\w+)\(", part, re.MULTILINE)
]


def test_the_list_of_functions_is_that_of_the_code():
    printed = subprocess.run([sys.executable, DOCS / "api.py"], capture_output=True, text=True, check=True).stdout
    assert printed == TEXT, "run: python docs/api.py > docs/api.md"


def test_every_command_is_a_function():
    emr = {"submit", "status", "wait", "logs", "terminate", "clusters"}
    selection = {"observe", "measure", "fit", "population", "apply", "attach"}
    assert {name for _, name in CALLS} == (set(COMMANDS) - {"emr", "selection"}) | emr | selection


@pytest.mark.parametrize(("place", "name"), CALLS)
def test_a_command_can_be_called_from_where_the_list_says(place, name):
    function = getattr(importlib.import_module(place), name)
    parameters = inspect.signature(function).parameters
    shows = parameters["each" if name == "gate" else "report"]
    assert shows.kind is inspect.Parameter.KEYWORD_ONLY
    assert inspect.signature(function).return_annotation == "Receipt"


@pytest.mark.parametrize(("place", "name"), CALLS)
def test_where_a_command_takes_several_paths_it_takes_one(place, name):
    """Of a sequence of paths, a single text would be taken letter by letter."""
    parameters = inspect.signature(getattr(importlib.import_module(place), name)).parameters
    assert not [
        name
        for name, one in parameters.items()
        if re.search(r"(Sequence|Iterable|list)\[str \| Path", str(one.annotation))
    ]


@pytest.mark.parametrize(("place", "name"), VALUES)
def test_a_function_of_values_says_what_it_does(place, name):
    assert inspect.getdoc(getattr(importlib.import_module(place), name))
