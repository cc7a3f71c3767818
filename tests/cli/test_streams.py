"""Every command with stdin, stdout and stderr closed, full or without a reader: never a 1 that looks like a "no"."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lensctl.cli.main import COMMANDS
from lensctl.io.tables.files import write_table
from tests.toys import catalogs as toys

FULL = "error: stdout cannot be written (No space left on device)"
CLOSED = "error: stdout is closed"


@pytest.fixture
def bash(tmp_path, warm_lensctl):
    """Run a line of bash in tmp_path, in which `lensctl` is this one: status, stdout, stderr."""

    def run(line: str) -> tuple[int, str, str]:
        env = {**os.environ, "PATH": f"{warm_lensctl.parent}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


SOME = {"sample", "gate", "emr"}
"""A command, a group of checks, and a group of commands: one place answers for all, so soak takes the others."""
NAMES = [pytest.param(name, marks=[] if name in SOME else [pytest.mark.soak]) for name in COMMANDS]
LINES = ["--help", "--version", *(pytest.param(f"{each.values[0]} --help", marks=each.marks) for each in NAMES)]


@pytest.mark.parametrize("line", LINES)
def test_help_cannot_be_given_to_a_stdout_that_is_closed_or_full(bash, line):
    status, out, err = bash(f"lensctl {line} >/dev/full")
    assert (status, out, err.splitlines()[0]) == (2, "", FULL)
    status, out, err = bash(f"lensctl {line} >&-")
    assert (status, out, err.splitlines()[0]) == (2, "", CLOSED)


@pytest.mark.parametrize("line", LINES)
def test_help_that_nobody_reads_ends_with_141(line, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "lensctl", *line.split()]
    done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("line", LINES)
def test_help_needs_neither_stdin_nor_stderr(bash, line):
    status, out, _ = bash(f"lensctl {line} <&- 2>&-")
    assert status == 0
    assert out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2> >(:)"])
def test_a_wrong_command_line_is_exit_2_whoever_reads_why(bash, name, stderr):
    assert bash(f"lensctl {name} --no-such-option {stderr}")[:2] == (2, "")


@pytest.fixture
def pool(tmp_path):
    """pool.parquet, which is too small for gate pool, and positives.parquet."""
    write_table(toys.pool(2000), str(tmp_path / "pool.parquet"))
    write_table(toys.positives(9), str(tmp_path / "positives.parquet"))


GATE = "lensctl gate pool pool.parquet"
SAMPLE = "lensctl sample pool.parquet - --positives positives.parquet"


@pytest.mark.usefixtures("pool")
def test_a_gate_whose_no_cannot_be_told_is_exit_2(bash):
    assert bash(GATE)[0] == 1
    for stdout, said in (
        (">/dev/full", FULL),
        ("1</dev/null", "error: stdout cannot be written (Bad file descriptor)"),
    ):
        status, out, err = bash(f"{GATE} {stdout}")
        assert (status, out) == (2, "")
        assert said in err
    assert bash(f"{GATE} >&-")[0] == 2
    assert bash(f"{GATE} >/dev/full 2>/dev/full")[0] == 2
    assert bash(f"{GATE} >/dev/full 2>&- <&-")[0] == 2


@pytest.mark.usefixtures("pool")
def test_a_gate_says_no_without_stdin_and_stderr(bash):
    verdict = bash(GATE)
    for others in ("<&- 2>&-", "2>/dev/full"):
        assert bash(f"{GATE} {others}")[:2] == verdict[:2]


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("format", ["arrow", "csv", "ndjson", "parquet"])
def test_a_table_that_cannot_be_given_is_exit_2(bash, format):
    status, _, err = bash(f"{SAMPLE} --format {format} >/dev/full")
    assert (status, err.splitlines()[-2]) == (2, FULL)
    assert "Traceback" not in err


@pytest.mark.usefixtures("pool")
def test_a_table_is_whole_without_stdin_and_stderr(bash, tmp_path):
    assert bash(f"{SAMPLE} --format csv > with.csv")[0] == 0
    assert bash(f"{SAMPLE} --format csv > without.csv <&- 2>&-")[0] == 0
    assert (tmp_path / "with.csv").read_bytes() == (tmp_path / "without.csv").read_bytes()


@pytest.mark.usefixtures("pool")
def test_a_closed_stdout_is_refused_before_anything_is_made(bash, tmp_path):
    status, _, err = bash("lensctl sample pool.parquet n.parquet --positives positives.parquet >&-")
    assert (status, err.splitlines()[0]) == (2, CLOSED)
    assert not (tmp_path / "n.parquet").exists()


@pytest.mark.usefixtures("pool")
def test_an_output_is_whole_though_the_receipt_cannot_be_given(bash, tmp_path):
    line = "lensctl sample pool.parquet {} --positives positives.parquet"
    assert bash(line.format("told.parquet"))[0] == 0
    status, _, err = bash(f"{line.format('untold.parquet')} >/dev/full")
    assert (status, err.splitlines()[-2]) == (2, FULL)
    assert (tmp_path / "told.parquet").read_bytes() == (tmp_path / "untold.parquet").read_bytes()


@pytest.mark.parametrize(
    ("stdin", "said"),
    [("<&-", "error: stdin is closed"), ("0> file", "error: "), ("</dev/null", "error: stdin is empty")],
)
@pytest.mark.parametrize("line", ["gate splits -", "cutout - store.zarr --source coadd --root ."])
def test_a_table_that_does_not_come_is_exit_2(bash, line, stdin, said, tmp_path):
    status, out, err = bash(f"lensctl {line} {stdin}")
    assert (status, out) == (2, "")
    assert err.startswith(said)
    assert not (tmp_path / "store.zarr").exists()
