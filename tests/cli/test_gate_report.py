"""The gates in CI, as examples/ci/ shows them: linted, and their command lines run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pytest
import yaml

from lensctl.io.tables.files import write_table
from tests.toys.judging import toy_pool
from tests.toys.manifests import toy_manifest

ROOT = Path(__file__).resolve().parents[2]
CI = ROOT / "examples" / "ci"
BIN = Path(sys.executable).parent
STEPS = yaml.safe_load((CI / "gates.yml").read_text())["jobs"]["gates"]["steps"]
SCRIPTS = [step["run"] for step in STEPS if "run" in step]
GATES = [script for script in SCRIPTS if script.startswith("lensctl ")]
DOCKERFILE = (CI / "Dockerfile").read_text()


def told(*line: object, **kind: object) -> subprocess.CompletedProcess[str]:
    """A finished process; its program is that of this environment, if it has one."""
    path = f"{BIN}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    return subprocess.run(list(map(str, line)), env=env, capture_output=True, text=True, check=False, **kind)


@pytest.fixture
def data(tmp_path):
    """The tables of a repository: data/pool.parquet and data/manifest.parquet."""
    (tmp_path / "data").mkdir()
    write_table(toy_pool(), str(tmp_path / "data" / "pool.parquet"))
    write_table(toy_manifest(), str(tmp_path / "data" / "manifest.parquet"))
    return tmp_path


def test_the_workflow_is_one_by_githubs_schema():
    done = told("check-jsonschema", "--builtin-schema", "vendor.github-workflows", CI / "gates.yml")
    assert done.returncode == 0, done.stdout


def test_hadolint_has_nothing_to_say():
    done = told("hadolint", "--config", os.devnull, CI / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_has_nothing_to_say(script):
    done = told("shellcheck", "--shell", "bash", "-", input=script)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_workflow_has_gates():
    assert len(GATES) == 2


@pytest.mark.parametrize("script", GATES)
def test_the_steps_of_the_workflow_judge_and_leave_lines_and_a_report(data, script):
    done = told("bash", "-e", "-c", script, cwd=data)
    assert done.returncode in (0, 1), done.stderr
    gate, report = re.search(r"gate (\S+) .*--junit (\S+)", script).groups()
    lines = [json.loads(line) for line in (data / report).with_suffix(".jsonl").read_text().splitlines()]
    assert {line["gate"] for line in lines} == set(gate.split(","))
    assert ElementTree.parse(data / report).getroot().tag == "testsuites"
    failed = sum(not line["passed"] for line in lines)
    assert done.stderr.count("::error ") == failed
    assert done.returncode == (1 if failed else 0)


def test_a_step_of_the_workflow_fails_on_a_spoiled_manifest(data):
    table = toy_manifest()
    spoiled = table.set_column(table.schema.get_field_index("split"), "split", pa.array(["train"] * table.num_rows))
    write_table(spoiled, str(data / "data" / "manifest.parquet"), overwrite=True)
    assert told("bash", "-e", "-c", GATES[1], cwd=data).returncode == 1


def test_the_image_copies_what_is_there_and_its_command_is_a_gate(data):
    for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE):
        assert [name for name in line.split() if not (ROOT / name).exists()] == []
    entry, command = (json.loads(re.search(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE)[1]) for word in
                      ("ENTRYPOINT", "CMD"))  # fmt: skip
    done = told(*entry, *command, cwd=data / "data")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", [*SCRIPTS, *re.findall(r"^RUN (.*)$", DOCKERFILE, re.MULTILINE)])
def test_what_is_installed_is_the_light_list_and_then_lensctl_alone(script):
    for line in (line for line in script.splitlines() if "pip install" in line):
        assert "light.txt" in line or "--no-deps" in line
    for name in re.findall(r"lensctl/(\S+\.txt)", script):
        assert (ROOT / name).is_file()
