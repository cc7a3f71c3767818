"""The recipes of array jobs, with a scheduler that runs what it is given at once, backwards and some of it twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lensctl.search import search
from tests.toys import searches, warm

ARRAYS = Path(__file__).resolve().parents[2] / "examples" / "arrays"
SBATCH = """#!{python}
import os, subprocess, sys
words = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
of = [int(n) for n in words.get("array", "1-1").split("-")]
if "dependency" in words:
    assert words["dependency"] == "afterok:11", words
for task in [*reversed(range(of[0], of[1] + 1)), of[0]]:
    env = {{**os.environ, **({{"SLURM_ARRAY_TASK_ID": str(task)}} if "array" in words else {{}})}}
    done = subprocess.run(["bash", "-c", words["wrap"]], env=env, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(done.returncode)
print(11 if "array" in words else 12)
"""
AWS = """#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
assert words[:2] == ["batch", "submit-job"]
options = dict(zip(words[2::2], words[3::2]))
if "--depends-on" in options:
    assert options["--depends-on"] == "jobId=job-11", options
size = int(options.get("--array-properties", "size=1").removeprefix("size="))
command = json.loads(options["--container-overrides"])["command"]
for child in [*reversed(range(size)), 0]:
    env = {{**os.environ, **({{"AWS_BATCH_JOB_ARRAY_INDEX": str(child)}} if "--array-properties" in options else {{}})}}
    done = subprocess.run(command, env=env, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(done.returncode)
print("job-11" if "--array-properties" in options else "job-12")
"""


@pytest.fixture(scope="module")
def tiny_lensctl() -> Iterator[Path]:
    with warm.program(is_tiny=True) as program:
        yield program


@pytest.fixture
def here(bundle: Path, tiny_lensctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a survey, frozen/, and stand-ins of the scheduler and of lensctl with the tiny network in bin/."""
    searches.make(tmp_path)
    (tmp_path / "frozen").symlink_to(bundle / "frozen")
    (tmp_path / "bin").mkdir()
    lensctl = f'#!/bin/sh\nexec {tiny_lensctl} "$@" --device cpu --workers 1 --keep 20\n'
    programs = {"sbatch": SBATCH.format(python=sys.executable), "aws": AWS.format(python=sys.executable)}
    for name, text in {**programs, "lensctl": lensctl}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("recipe", "more"), [("slurm", {"CPUS": "1"}), ("aws_batch", {"QUEUE": "q", "DEFINITION": "d"})]
)
def test_an_array_makes_what_one_run_makes(here, recipe, more):
    env = {**os.environ, "PATH": f"{here / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ARRAYS.parents[1]), **more}
    env |= {"FROZEN": "frozen", "TABLES": "t.parquet", "OUT": "found", "ROOT": "sky", "PARTS": "2"}
    line = [str(ARRAYS / f"{recipe}.sh"), "--lenses", "lenses.csv"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1].endswith("12")
    search("frozen", "t.parquet", "whole", root="sky", device="cpu", workers=1, keep=20, lenses="lenses.csv")
    ours, theirs = (searches.summary(here / name) for name in ("found", "whole"))
    assert json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
    assert searches.scores(here / "found").equals(searches.scores(here / "whole"))


def test_a_recipe_says_what_it_lacks(here):
    for recipe in ("slurm", "aws_batch"):
        done = subprocess.run(
            [str(ARRAYS / f"{recipe}.sh")], env={"PATH": os.environ["PATH"]}, capture_output=True, check=False
        )
        assert done.returncode != 0
        assert b"FROZEN: the frozen model" in done.stderr or b"QUEUE: job queue" in done.stderr


def test_the_recipes_are_clean_shell():
    files = [str(file) for file in sorted(ARRAYS.glob("*.sh"))]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "shellcheck"), *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
