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
