"""Tables for people: whatever they hold, no line is too long and no word is broken."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from lensctl.cli import report, tables

PACKAGE = Path(tables.__file__).resolve().parents[1]
WIDTHS = (40, 80, 140)
INDENT = 4
"""What a block per row may stand in."""

words = st.text("abcxyzABC_0189.,:/-+%°é中", min_size=1, max_size=24)
texts = st.lists(words, max_size=6).map(" ".join)
cells = st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_nan=True), texts)


@st.composite
def tables_of_anything(draw):
    count = draw(st.integers(1, 9))
    columns = draw(st.lists(texts, min_size=count, max_size=count))
    row = st.lists(cells, min_size=count, max_size=count)
    return draw(texts), columns, draw(st.lists(row, max_size=5))


def printed(title, columns, rows, width, **how):
    """The lines of a table."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    console.print(tables.drawn(title, columns, rows, width, **how))
    return stream.getvalue().splitlines()


@settings(max_examples=150)
@given(tables_of_anything(), st.sampled_from(WIDTHS))
def test_no_line_is_longer_than_the_terminal_and_no_word_is_broken(table, width):
    title, columns, rows = table
    lines = printed(title, columns, rows, width)
    assert [line for line in lines if cell_len(line.rstrip()) > width] == []
    shown = {word for line in lines for word in line.split()}
    given_words = [word for row in rows for value in row for word in tables._cell(value).plain.split()]
    if len(columns) > 1:
        there = [name for i, name in enumerate(columns) if any(tables._cell(row[i]).plain.strip() for row in rows)]
        given_words += [word for name in there[1:] for word in name.split()]
    assert [
        word for word in [*given_words, *title.split()] if cell_len(word) <= width - INDENT - 1 and word not in shown
    ] == []


def literal_headings():
    """Headings of every table that the tool shows, where they stand in the code as they are."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if not any(f"{name}(" in text for name in ("table", "Rows")):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and len(node.args) == 3 and isinstance(node.args[1], ast.Tuple):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in ("table", "Rows") and any(getattr(each, "value", "") for each in node.args[1].elts):
                    parts = [each for each in node.args[1].elts if isinstance(each, ast.Constant)]
                    yield f"{path.stem}:{node.lineno}", [str(part.value) for part in parts]


FOUND = dict(literal_headings())


def test_there_are_tables_to_judge():
    assert len(FOUND) > 30


@pytest.mark.parametrize("where", FOUND)
def test_the_headings_of_every_table_stand_side_by_side_in_80_columns(where):
    names = FOUND[where]
    lines = printed("", names, [[0] * len(names)] * 9, 80)
    assert any("─" in line for line in lines)
    assert max(map(len, lines)) <= 80


ROWS = [
    (f"column_{i}", "string", "a long meaning of many words that takes a good part of a line", 0.5) for i in range(5)
]


@pytest.mark.parametrize("width", [30, 80, 140])
def test_columns_stand_side_by_side_where_there_is_room_and_one_beneath_the_other_where_not(width):
    lines = printed("Title", ("column", "type", "meaning", "value"), ROWS, width)
    assert lines[0].rstrip() == "Title"
    if width == 30:
        assert [line.rstrip() for line in lines[1:8]] == [
            "column_0",
            "  type     string",
            "  meaning  a long meaning of",
            "           many words that",
            "           takes a good part",
            "           of a line",
            "  value    0.5",
        ]
    else:
        assert lines[1].split() == ["column", "type", "meaning", "value"]
        assert len(lines) == (3 + 5 * (1 if width == 140 else 2))


def test_numbers_stand_on_the_right_and_what_is_missing_is_a_dash():
    lines = printed("", ("name", "count", "part"), [("a", 1000, 0.25), ("b", None, float("nan"))], 80)
    assert [line.rstrip() for line in lines[2:]] == ["a     1,000  0.25", "b         –     –"]


def test_a_fact_that_has_no_room_beside_its_name_stands_beneath_it():
    digest = "sha256:" + "0" * 64
    lines = printed("", ("", ""), [("rows", 7), ("digest", digest)], 80)
    assert [line.rstrip() for line in lines] == ["  rows    7", "  digest", f"    {digest}"]


def test_of_a_word_wider_than_the_line_both_ends_are_shown():
    (line,) = printed("", ("path",), [("/a/" + "b" * 100 + "/end.parquet",)], 40)[-1:]
    assert line.startswith("/a/b")
    assert line.rstrip().endswith("b/end.parquet")
    assert "…" in line


def test_a_row_of_one_cell_is_a_heading_over_those_that_follow():
    lines = printed("", ("passed", "n"), [("splits",), ("a", 1), ("weights",), ("b", 2)], 80)
    assert [line.split() for line in lines if line.strip()][2:] == [["splits"], ["a", "1"], ["weights"], ["b", "2"]]


@pytest.mark.parametrize("columns", ["80", "140"])
def test_a_table_of_a_command_is_as_wide_as_columns_says(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", columns)
    report.table("T", ("name", "text"), [(f"n{i}", "word " * 60) for i in range(3)])
    widest = max(map(len, capsys.readouterr().err.splitlines()))
    assert 0.8 * int(columns) < widest <= int(columns)
