"""The help of every command: 80 columns, no type of Python, an example that a shell takes as one line."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex

import pytest
import typer

from lensctl.cli import help as help_
from lensctl.cli.command import app
from lensctl.cli.main import COMMANDS, main
from lensctl.gates import registry

for name in COMMANDS:
    importlib.import_module(f"lensctl.cli.{name}")


def lines_of(command, before=()):
    """All command lines below a command."""
    for name, each in getattr(command, "commands", {}).items():
        yield (*before, name)
        yield from lines_of(each, (*before, name))


LINES = [line for line in lines_of(typer.main.get_command(app)) if line[0] in COMMANDS]
OF_GATES = [("gate", name) for name in registry.BUILT_IN]
PYTHON = re.compile(
    r"\b(list|tuple|dict|set|Literal|Optional|Union)\[|\| ?None\b|<(int|float|str|bool|path|file|list)\b"
    r"|\}\.\.\.|\{[A-Z]|\b(int|float) range\b|<=x|\bx>=|float,float|\bNoneType\b"
)


@pytest.fixture
def said(capsys, monkeypatch):
    """The help of a command line."""

    def run(*line, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main([*line, "--help"]) == 0
        return capsys.readouterr().out

    return run


def test_there_are_commands_of_all_kinds():
    assert {len(line) for line in LINES} == {1, 2}
    assert len(LINES) > 30


@pytest.mark.parametrize("line", [*LINES, *OF_GATES], ids=" ".join)
@pytest.mark.parametrize("columns", [80, 140])
def test_no_type_of_python_shows_and_it_fits_80_columns(said, line, columns):
    text = said(*line, columns=columns)
    assert PYTHON.findall(text) == []
    assert [each for each in text.splitlines() if len(each) > 80] == []


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_every_option_is_there_with_its_meaning(said, line):
    command = typer.main.get_command(app)
    for name in line:
        command = command.commands[name]
    text = " ".join(said(*line).split())
    for each in command.params:
        if each.param_type_name == "option":
            if each.hidden:
                continue
            assert f" {each.opts[0]} " in text
            assert " ".join((each.help or "").split()) in text
        else:
            assert f" {each.display_name_raw} " in text


@pytest.mark.parametrize("line", [line for line in LINES if line != ("gate",)], ids=" ".join)
def test_the_example_is_what_the_docstring_says_in_lines_of_a_shell(said, line):
    command = typer.main.get_command(app)
    for name in line:
        command = command.commands[name]
    meant = re.search(r"^Example: ((?:.|\\\n)*?)(?:\n\n|\Z)", inspect.cleandoc(command.help), re.MULTILINE)[1]
    shown = re.search(r"^  Example: ((?:.*\\\n)*.*)$", said(*line), re.MULTILINE)[1]
    assert shlex.split(shown.replace("\\\n", " ")) == shlex.split(meant.replace("\\\n", " "))


def test_words_in_quotes_and_an_option_with_its_value_stay_together():
    lines = help_.example('Example: lensctl show m.parquet --rows "lenses: label = 1" --montage out.png --n 8', 45)
    assert lines == [
        "Example: lensctl show m.parquet \\",
        '    --rows "lenses: label = 1" \\',
        "    --montage out.png --n 8",
    ]


def test_the_list_of_commands_fits_too(lensctl):
    text = lensctl("--help").stdout
    assert PYTHON.findall(text) == []
    assert max(map(len, text.splitlines())) <= 80
    assert [name for name in COMMANDS if f"\n  {name} " not in text] == []


def test_help_on_gates_is_a_sentence_for_each_and_leaves_the_rest_to_their_own(said):
    text = said("gate")
    listed = text.partition("Gates:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed if not line.startswith("   ")] == registry.names()
    assert all(len(line.split()) > 3 for line in listed if not line.startswith("   "))
    assert "…" not in text
    assert len(text.splitlines()) < 70
    assert "HistGradientBoostingClassifier" not in text


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_help_on_a_gate_has_its_meaning_its_limits_with_defaults_and_an_example(said, name):
    gate = registry.find(name)
    text = " ".join(said("gate", name).split())
    for paragraph in gate.text.split("\n\n"):
        assert " ".join(paragraph.split()) in text
    assert f"lensctl gate {name} [OPTIONS] {gate.inputs} " in text
    (settings,) = registry.settings_for([gate], []).values()
    for key, field in gate.fields().items():
        default = registry.show(getattr(settings, key)).replace(",", ", ")
        assert f"{name}.{key} {registry.meaning_of(field)} [default: {default}]" in text
    example = re.search(r"Example: lensctl gate (\S+) \S+(?: \\)?(?: --set (\S+))?", text)
    assert example[1] == name
    registry.settings_for([gate], [example[2]] if example[2] else [])
    assert ("--level" in text, "--crop" in text) == (
        "level" in gate.fields() or name == "shortcut",
        "crop" in gate.fields(),
    )


def test_help_on_several_gates_has_the_limits_of_each_and_no_gate_is_a_sentence(said, capsys):
    text = said("gate", "weights,splits")
    assert "splits.train" in text
    assert "Every row has the weight" in text
    assert main(["gate", "splts", "--help"]) == 2
    assert "did you mean 'splits'" in capsys.readouterr().err
