"""The very step that EMR is asked for, done by a local `spark-submit` or on a node: how it ends when it goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lensctl.emr import wheel
from tests.toys import emr as emr_toy
from tests.toys.emr import refused, told

pytestmark = pytest.mark.skipif(not emr_toy.JAVA, reason="Spark needs Java, and there is none here")

SAMPLE = ("--positives", "s3://survey/positives.parquet", "--negatives-per-positive", "2")


def test_a_step_whose_command_fails_ends_with_2_and_its_own_words(submit, wait, aws, tmp_path):
    aws.put("odd.parquet", b"not parquet")
    said = submit("sample", "s3://survey/odd.parquet", "s3://survey/never.parquet", *SAMPLE)
    assert aws.do(said["cluster"], tmp_path) == 2
    done = wait(said)
    refused(done, "is FAILED", f"emr/logs/{said['cluster']}/steps/{said['step']}")
    assert "error: s3://survey/odd.parquet: not a complete parquet file\n  fix: make it again" in done.stderr
    assert json.loads(aws.get(said["record"]))["status"] == 2


def test_a_step_that_takes_longer_than_it_may_is_ended(submit, wait, aws, tmp_path, here, built):
    given = ("--staging", emr_toy.STAGING, "--subnet", aws.subnet, "--wheel", built, "--max-hours", "0.01")
    said = told(here("emr", "submit", *given, "sample", "s3://survey/pool.parquet", "s3://survey/late", *SAMPLE))
    step = aws.cluster(said["cluster"]).steps[0]
    step.args[step.args.index("--hours") + 1] = "0.0003"
    assert aws.do(said["cluster"], tmp_path) == 2
    done = wait(said)
    refused(done, "is FAILED")
    assert "error: not done after 0.0003 h, stopped" in done.stderr


@pytest.fixture
def node(built, tmp_path):
    """Run `lensctl emr step` as it is installed on a node."""
    where = emr_toy.install(built.read_bytes(), built.name, tmp_path / "machine")

    def run(aws, digest):
        told = ("--wheel", digest, "--record", "s3://survey/r.json", "--hours", "1", "--writes", "s3://survey/x")
        return subprocess.run(
            [sys.executable, "-m", "lensctl", "emr", "step", *told, "sample", "--help"],
            env={**os.environ, **aws.env, "PYTHONPATH": str(where)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return where, run


def test_a_node_with_another_wheel_or_a_changed_one_does_nothing(node, aws, built):
    where, run = node
    refused(run(aws, "sha256:other"), f"this cluster has wheel {wheel.digest(built)}, but sha256:other was submitted")
    with (where / "lensctl" / "inject.py").open("a") as file:
        file.write("# a change\n")
    refused(run(aws, wheel.digest(built)), "lensctl/inject.py differs from the wheel")
    Path(where / "lensctl" / "inject.py").unlink()
    refused(run(aws, wheel.digest(built)), "lensctl/inject.py differs from the wheel")
