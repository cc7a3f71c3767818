"""`--quiet`: stderr has errors alone, stdout is as ever."""

from __future__ import annotations

import re
import sys

import pytest

from lensctl.cli import report
from lensctl.io.tables.files import write_table
from lensctl.rules import errors
from tests.toys import catalogs as toys

SAMPLE = ("sample", "pool.parquet", "n.parquet", "--positives", "positives.parquet", "--overwrite")


@pytest.fixture
def pool(tmp_path):
    write_table(toys.pool(2000), str(tmp_path / "pool.parquet"))
    write_table(toys.positives(9), str(tmp_path / "positives.parquet"))
    return tmp_path


def test_quietly_drops_notes_tables_and_progress_but_no_complaint(capsys):
    with report.quietly(True):
        report.say("a note")
        report.table("Title", ("a",), [(1,)])
        with report.progress("rows", 10) as advance:
            advance(5)
        print("from a library", file=sys.stderr)
        report.complain("error: that")
        report.out("{}")
    report.say("later")
    assert capsys.readouterr() == ("{}\n", "error: that\nlater\n")


def test_what_is_not_wanted_quiet_is_not(capsys):
    with report.quietly(False):
        report.say("a note")
    assert capsys.readouterr().err == "a note\n"


def test_the_config_file_can_ask_for_quiet(lensctl, pool):
    (pool / "c.yaml").write_text("quiet: true\n")
    loud, quiet = (lensctl(*SAMPLE, *given) for given in ((), ("--config", "c.yaml")))
    assert (loud.returncode, quiet.returncode) == (0, 0)
    assert "Strata" in loud.stderr
    assert quiet.stderr == ""


def test_an_error_is_said_quietly_or_not(lensctl, pool):
    done = lensctl("sample", "absent.parquet", "n.parquet", "--positives", "positives.parquet", "--quiet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: absent.parquet")


def test_what_people_read_holds_no_escape_and_no_endless_sentence(capsys):
    report.say("a \x1b[31mred\x1b[0m note")
    report.table("T\x1b]0;t\x07", ("c\x1b[1m",), [("v\x1b[2J",)])
    report.complain("error: " + "x" * 100_000)
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert r"a \x1b[31mred\x1b[0m note" in err
    assert err.splitlines()[-1] == "error: " + "x" * (errors.LONGEST_LINE - 8) + "…"


@pytest.fixture
def terminal(monkeypatch, capsys):
    """A terminal of 80 columns; gives what was written to it since it was asked last."""
    monkeypatch.setattr(
        type(sys.stderr), "isatty", lambda stream: True
    )  # the object is another in each phase of a test
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    return lambda: capsys.readouterr().err


LONG = "  step: " + " ".join(f"word-{i}" for i in range(40))


def test_on_a_terminal_lines_break_between_words_and_what_goes_on_is_indented(terminal):
    report.say(LONG)
    report.complain(LONG)
    said = terminal()
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert said.split() == LONG.split() * 2
    assert {line[:4] for line in lines} == {"  st", "    "}


def test_what_is_longer_than_a_line_stays_in_one_piece_to_be_copied(terminal):
    path = "s3://bucket/" + "x" * 100
    report.say(f"see {path}")
    assert path in terminal()


def test_elsewhere_a_line_stays_a_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    report.say(LONG)
    assert capsys.readouterr().err == f"{LONG}\n"


def test_a_receipt_stays_a_line_wherever_it_is_written(terminal):
    report.receipt("pool", "-", note="a " * 100)
    assert len(terminal().splitlines()) == 1


@pytest.mark.parametrize("name", ["dumb", "unknown", "DUMB"])
def test_a_dumb_terminal_gets_a_line_every_ten_seconds_and_nothing_to_obey(terminal, monkeypatch, name):
    now = [0.0]
    monkeypatch.setenv("TERM", name)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with report.progress("rows", 600) as advance:
        for _ in range(60):
            now[0] += 1.0
            advance(10)
    said = terminal()
    lines = said.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"rows: {100 * k} of 600" for k in range(1, 7)]
    assert "\x1b" not in said


def test_a_terminal_that_can_draw_gets_a_bar_that_fits_80_columns(terminal):
    with report.progress("cutouts of galaxies", 1_000_000) as advance:
        advance(123_456, note="a note of some length on what is done")
    drawn = terminal()
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "\n", drawn)
    assert "123456/1000000" in plain
    assert max(map(len, plain.splitlines())) <= 80


def test_without_colour_a_table_has_none(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    report.table("T", ("a", "b"), [(1, "x")])
    report.say("FAILED", style="bold red")
    said = terminal()
    assert re.findall(r"\x1b\[[0-9;]*3\dm", said) == []
    assert "\x1b" in said
    assert "FAILED" in said
