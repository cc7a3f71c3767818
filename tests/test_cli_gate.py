"""`lensctl gate` as people and CI call it: lines, tables, exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from lensctl.cli.main import main
from lensctl.gates import registry
from tests.gate_toys import toy_manifest, with_rows

KEYS = ["gate", "check", "passed", "value", "low", "high", "limit", "n", "offenders", "input_digest"]


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Run `lensctl ARGS...` in this process, in tmp_path: as the command does, without its start."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(list(arguments))
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, said.out, said.err)

    return run


@pytest.fixture
def manifest(tmp_path):
    pq.write_table(toy_manifest(), tmp_path / "good.parquet")
    pq.write_table(with_rows(toy_manifest(), [1], sample_weight=2.0), tmp_path / "bad.parquet")
    pq.write_table(toy_manifest(0, 0), tmp_path / "empty.parquet")


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_several_gates_run_as_one_and_pass(lensctl, manifest):
    done = lensctl("gate", "splits,overlap,weights", "good.parquet")
    assert done.returncode == 0, done.stderr
    found = lines(done)
    assert {line["gate"] for line in found} == {"splits", "overlap", "weights"}
    assert len({line["input_digest"] for line in found}) == 1
    assert all(list(line)[:10] == KEYS and line["passed"] is True for line in found)
    assert "none failed" in done.stderr
    assert lensctl("gate", "splits,overlap,weights", "good.parquet").stdout == done.stdout


def test_no_is_exit_status_1_and_says_where(here, manifest):
    done = here("gate", "splits,weights", "bad.parquet")
    assert done.returncode == 1
    wrong = [line for line in lines(done) if not line["passed"]]
    assert {line["gate"] for line in wrong} == {"weights"}
    assert wrong[0]["offenders"]
    assert "NO" in done.stderr


def test_nothing_to_judge_is_no(here, manifest):
    assert here("gate", "splits", "empty.parquet").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("split", "good.parquet"), "did you mean 'splits'"),
        (("splits",), "no input is given"),
        (("splits", "absent.parquet"), "absent.parquet: no such file"),
        (("splits", "folder"), "folder without parquet files"),
        (("weights", "good.parquet", "bad.parquet"), "judges one input"),
        (("trained", "."), "no metrics.json"),
        (("splits", "good.parquet", "--set", "splits.trian=1,2"), "did you mean 'train'"),
        (("splits", "good.parquet", "--level", "plan"), "--level means nothing to splits"),
        (("splits", "good.parquet", "--crop", "64"), "--crop means nothing to splits"),
        (("shortcut", "good.parquet", "--level", "mvp"), "one of default, plan"),
        (("splits", "good.parquet", "--config", "typo.yaml"), "did you mean 'level'"),
        (("splits", "broken.parquet"), "cannot be read"),
        (("splits", "good.parquet", "--colour"), "No such option"),
    ],
)
def test_what_cannot_be_judged_is_exit_status_2_with_one_sentence(here, manifest, tmp_path, arguments, says):
    (tmp_path / "folder").mkdir()
    (tmp_path / "typo.yaml").write_text("levle: plan\n")
    (tmp_path / "broken.parquet").write_bytes((tmp_path / "good.parquet").read_bytes()[:2000])
    done = here("gate", *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_missing_column_is_exit_status_2(here, tmp_path):
    pq.write_table(toy_manifest().drop_columns(["healpix_128"]), tmp_path / "manifest.parquet")
    done = here("gate", "splits", "manifest.parquet")
    assert done.returncode == 2
    assert "'healpix_128'" in done.stderr


def test_limits_come_from_the_config_and_options_win_key_by_key(here, manifest, tmp_path):
    (tmp_path / "limits.yaml").write_text("set:\n  splits.train: [0.9, 1.0]\n  weights.tier_b: [0.3, 2.5]\n")
    assert here("gate", "weights", "bad.parquet", "--config", "limits.yaml").returncode == 0
    assert here("gate", "splits", "good.parquet", "--config", "limits.yaml").returncode == 1
    done = here("gate", "splits,weights", "bad.parquet", "--config", "limits.yaml", "--set", "splits.train=0.6,0.8")
    assert done.returncode == 0, done.stderr


def test_list_names_every_gate_with_inputs_meaning_and_settings(here):
    done = here("gate", "list")
    assert done.returncode == 0, done.stderr
    found = {line["gate"]: line for line in lines(done)}
    assert set(registry.BUILT_IN) <= set(found)
    assert all(line["inputs"] and line["meaning"] for line in found.values())
    assert found["splits"]["settings"]["train"] == "0.65,0.75"
    assert "splits.train" in done.stderr


def test_help_names_classifier_and_features(here):
    done = here("gate", "--help")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "HistGradientBoostingClassifier" in text
    assert "psfsize_z" in text
    assert "Example: lensctl gate splits,overlap,weights manifest.parquet" in text


def test_junit_and_github_annotations(here, manifest, tmp_path):
    done = here("gate", "splits,weights", "bad.parquet", "--junit", "checks.xml", "--github")
    assert done.returncode == 1
    suites = ElementTree.parse(tmp_path / "checks.xml").getroot()
    assert [suite.get("name") for suite in suites] == ["splits", "weights"]
    assert sum(int(suite.get("failures")) for suite in suites) == len(suites.findall(".//failure")) > 0
    assert len(suites.findall(".//testcase")) == len(lines(done))
    assert "::error title=lensctl gate weights::" in done.stderr
    assert "::error" not in done.stdout
    again = here("gate", "weights", "bad.parquet", "--junit", "checks.xml")
    assert again.returncode == 2
    assert "exists" in again.stderr
    assert here("gate", "weights", "good.parquet", "--junit", "checks.xml", "--overwrite").returncode == 0
    assert here("gate", "splits", "absent.parquet", "--junit", "none.xml").returncode == 2
    assert not (tmp_path / "none.xml").exists()


def test_a_manifest_comes_through_a_pipe(lensctl, manifest, tmp_path):
    good = (tmp_path / "good.parquet").read_bytes()
    done = lensctl("gate", "splits,weights", "-", "--config", "stdin.yaml", stdin=good)
    assert done.returncode == 2  # no such config, before stdin is read
    import io

    import pyarrow as pa

    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, toy_manifest().schema) as writer:
        writer.write_table(toy_manifest())
    done = lensctl("gate", "splits,weights", "-", stdin=stream.getvalue())
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_early_does_not_look_like_a_failed_gate(manifest, tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-m", "lensctl", "gate", "splits", "good.parquet"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    writer.stdout.close()
    assert writer.wait() == 141
