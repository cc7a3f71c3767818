"""`--quiet`: stderr has errors alone, stdout is as ever."""

from __future__ import annotations

import sys

import pytest

from lensctl.cli import report
from lensctl.io.tables.files import write_table
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
    assert err.splitlines()[-1] == "error: " + "x" * (report.LONGEST_LINE - 8) + "…"
