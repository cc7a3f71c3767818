"""The recipes: what a failed step made is kept and resumed, and the lines of a gate that said no are kept."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.cutouts.store import open_store
from tests.toys.coadds import make_brick, objects
from tests.toys.viewer_server import serving

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECIPES = (
    "Makefile",
    "real.mk",
    "mock.mk",
    "evening/Makefile",
    "hard-negatives.mk",
    "compare.mk",
    "selection/ladder.mk",
    "own-survey/Makefile",
)
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(work: Path, target: str, *variables: str) -> subprocess.CompletedProcess[str]:
    """Make a target of real.mk in a folder."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    line = ["make", "-f", EXAMPLES / "real.mk", f"WORK={work}", *variables, f"{work}/{target}"]
    return subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})


def rules(recipe: str) -> dict[str, str]:
    """The commands of each target."""
    text = (EXAMPLES / recipe).read_text().replace("\\\n", " ")
    return dict(re.findall(r"^(\$\(\w+\)/[^\s:]+):[^\n]*\n((?:\t.*\n)+)", text, re.MULTILINE))


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_target_is_inside_what_lensctl_made_or_holds_the_lines_of_a_gate(recipe):
    """make deletes the target of a step that failed."""
    found = rules(recipe)
    assert len(found) > 3
    for target, commands in found.items():
        written = re.search(r"\blensctl (gate|verify) .*> (\S+)", commands)
        if written:
            assert target.endswith(".passed")
            assert written[2] == f"{target.removesuffix('.passed')}.jsonl"
        else:
            assert re.search(r"\.(parquet|csv|txt|done)$", target), target
        if target.endswith((".done", ".passed")):
            assert commands.endswith("\t@touch $@\n")
            assert commands.count("$@") == 1, "nothing but touch makes a stamp"


def test_too_many_failures_keep_the_store_and_only_they_are_fetched_again(tmp_path):
    (tmp_path / "lenscat.csv").touch()
    number = np.arange(20)
    rows = {"galaxy_id": [f"1500p020_{i}" for i in number], "ra": 150 + number / 64, "dec": 2 + number / 256}
    pq.write_table(pa.table(rows), tmp_path / "positives.parquet")
    with serving() as service:
        service.always = dict.fromkeys(rows["ra"][:3], "html")
        cutout = f"CUTOUT=--source viewer --url {service.url} --size 15 --tries 1"
        done = make(tmp_path, "positives.zarr.done", cutout)
        assert done.returncode == 2
        assert "3 of 20 cutouts failed" in done.stderr
        assert open_store(tmp_path / "positives.zarr").n == 20
        assert not (tmp_path / "positives.zarr.done").exists()
        service.always.clear()
        asked = service.asked.total()
        done = make(tmp_path, "positives.zarr.done", cutout)
        assert done.returncode == 0, done.stderr
        assert service.asked.total() == asked + 3
    assert open_store(tmp_path / "positives.zarr").columns("cutout_ok")["cutout_ok"].to_pylist() == [True] * 20
    assert (tmp_path / "positives.zarr.done").exists()


def test_the_lines_of_a_gate_that_said_no_are_kept_and_make_stops(tmp_path, lensctl):
    made = lensctl("sky", tmp_path / "sky", "--galaxies", "100")
    assert made.returncode == 0, made.stderr
    made = lensctl("pool", "sky/south/sweep/10.0/*.fits", "pool.parquet", "--lenses", "sky/lenses.csv")
    assert made.returncode == 0, made.stderr
    (tmp_path / "lenscat.csv").touch()
    os.utime(tmp_path / "lenscat.csv", (1, 1))
    done = make(tmp_path, "pool.passed")
    assert done.returncode == 2
    lines = [json.loads(line) for line in (tmp_path / "pool.jsonl").read_text().splitlines()]
    assert not all(line["passed"] for line in lines)
    assert not (tmp_path / "pool.passed").exists()


NEXT_STEPS = {
    "CROSSMATCH": "crossmatch",
    "POOL": "pool",
    "SAMPLE": "sample",
    "CUTOUT": "cutout",
    "MANIFEST": "manifest",
    "GATES": "gate",
    "TRAIN": "train",
    "SCORE": "score",
    "EVALUATE": "evaluate",
    "FREEZE": "freeze",
    "VERIFY": "verify",
}


def dry(work: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    """`make -n` of real.mk."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    line = ["make", "-n", "-f", EXAMPLES / "real.mk", f"WORK={work}", *variables]
    return subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})


def test_every_step_of_the_real_recipe_takes_options(tmp_path):
    done = dry(tmp_path, *(f"{name}=--given-{name}" for name in NEXT_STEPS))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace("\\\n", " ").splitlines()
    commands = [line for line in lines if line.startswith("lensctl ")]
    assert {line.split()[1] for line in commands} == set(NEXT_STEPS.values())
    for name, verb in NEXT_STEPS.items():
        assert all(f"--given-{name}" in line for line in commands if line.split()[1] == verb), verb
    assert not [line for line in commands if "cutout" in line and "--source" in line]


def test_coadds_are_the_default_and_sweeps_come_from_a_list_of_checksums(tmp_path):
    done = dry(tmp_path)
    assert "--source coadd --root https://" in done.stdout
    assert re.search(r"lensctl pool 'https://\S+\.sha256sum' ", done.stdout)
    assert "5,104" in done.stderr
    assert "1.8 TB (estimated" in done.stderr
    assert "hours and disk are told once positives.parquet is there" in done.stderr
    assert "catalogues:" not in dry(tmp_path, "SWEEPS=/data/*.fits").stderr


def test_a_plan_tells_rows_hours_and_disk_without_making_anything(tmp_path):
    make_brick(tmp_path / "survey", "1500p020")
    pq.write_table(objects("1500p020", 8, spread_px=60.0), tmp_path / "positives.parquet")
    before = sorted(tmp_path.rglob("*"))
    done = dry(tmp_path, f"CUTOUT=--root {tmp_path}/survey --size 21 --workers 1")
    assert done.returncode == 0, done.stderr
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"')))
    assert (told["rows"], told["bytes"]) == (8, 8 * 21 * 21 * 3 * 4)
    assert told["hours"] >= 0
    assert told["rows_per_second"] > 0
    assert sorted(tmp_path.rglob("*")) == before
