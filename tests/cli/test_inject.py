"""`lensctl inject` as people call it: receipt, exit codes, the same bytes twice, and after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lensctl.cli.main import main
from tests.toys.folders import folder_digest
from tests.toys.hosts import make_hosts

INJECT = ["inject", "hosts.parquet", "hosts.zarr", "i.zarr", "--per-host", "2", "--workers", "1", "--shard-rows", "4"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_hosts(tmp_path, count=6)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_inject_says_what_it_made_in_one_line_and_twice_the_same_bytes(here: Path, capsys) -> None:
    assert main(INJECT) == 0
    out, _ = capsys.readouterr()
    said = json.loads(out)
    assert out.count("\n") == 1
    assert said.pop("seconds") >= 0
    assert said.pop("sky_nanomaggy").keys() == {"g", "r", "z"}
    assert said.pop("design").startswith("sha256:")
    assert said == {
        "command": "inject",
        "output": "i.zarr",
        "rows": 12,
        "hosts": 6,
        "cut": 12,
        "status": {"ok": 12},
        "gain_source": {"g": "measured", "r": "measured", "z": "measured"},
    }
    first = folder_digest("i.zarr")
    assert main(INJECT) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert main([*INJECT, "--overwrite"]) == 0
    assert folder_digest("i.zarr") == first


def test_another_injection_into_a_store_that_exists_is_refused_and_leaves_it(here: Path, capsys) -> None:
    assert main(INJECT) == 0
    first = folder_digest("i.zarr")
    assert main([*INJECT, "--seed", "7"]) == 2
    assert "seed was 42 and is 7" in capsys.readouterr().err
    assert folder_digest("i.zarr") == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--control", "nul"], "no control 'nul'"),
        (["--per-host", "0"], "--per-host"),
        (["--design", "none.yaml"], "none.yaml"),
        (["--gain", "none.yaml"], "none.yaml"),
        (["--noyse", "none"], "No such option"),
    ],
)
def test_a_bad_option_is_one_sentence_exit_2_and_nothing_written(here: Path, capsys, options, message) -> None:
    before = sorted(here.iterdir())
    assert main([*INJECT, *options]) == 2
    out, err = capsys.readouterr()
    assert (out, message in err, "Traceback" in err) == ("", True, False), err
    assert sorted(here.iterdir()) == before


def test_killed_and_run_again_it_makes_the_same_store(here: Path) -> None:
    line = [*INJECT[:4], "--per-host", "40", "--workers", "1", "--shard-rows", "4"]
    run = subprocess.Popen([sys.executable, "-m", "lensctl", *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while len(list(here.glob(".i.zarr.part/**/parts/*.parquet"))) < 3:
        assert time.monotonic() < until
        assert run.poll() is None
        time.sleep(0.02)
    run.kill()
    run.communicate()
    assert not Path("i.zarr").exists()
    assert main(line) == 0
    line[3] = "whole.zarr"
    assert main(line) == 0
    assert folder_digest("i.zarr") == folder_digest("whole.zarr")


def test_the_gate_says_yes_with_0_and_no_with_1(here: Path, capsys) -> None:
    assert main(INJECT) == 0
    assert main(["gate", "injection", "i.zarr"]) == 0
    assert main(["gate", "injection", "i.zarr", "--set", "injection.gain_spread=1"]) == 1
    assert '"passed": false' in capsys.readouterr().out
