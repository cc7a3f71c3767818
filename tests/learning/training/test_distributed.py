"""Two processes train as one does within rounding, and the trouble of either is said once and ends both."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lensctl.io.tables.files import read_table
from lensctl.learning.data.augment import Augmentation
from lensctl.learning.networks import architectures, checkpoint
from lensctl.learning.training.distributed import ALONE, Team
from lensctl.rules.errors import InputError
from tests.cli.test_train import RECIPE as SHORT
from tests.cli.test_train import make
from tests.toys import rings, teamwork

ROOT = Path(__file__).resolve().parents[3]


def team_of_two(arguments: list[str], folder: Path, **streams: object) -> list[subprocess.Popen[str]]:
    """Two processes that find each other by the environment, as torchrun sets it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    world |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, **world, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            text=True,
            **streams,
        )
        for rank in (0, 1)
    ]


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, list[dict]]:
    """What two processes made, and what each found."""
    folder = tmp_path_factory.mktemp("two")
    processes = team_of_two(["-m", "tests.toys.teamwork", str(folder)], ROOT, stderr=subprocess.PIPE)
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert all((folder / f"found-{rank}.json").exists() for rank in (0, 1)), said
    return folder, [json.loads((folder / f"found-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    """The same training by a single process."""
    folder = tmp_path_factory.mktemp("one")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.ARCHITECTURES, "resnet18", rings.tiny)
        teamwork.run(folder, "straight", ALONE)
    torch.set_num_threads(before)
    return folder / "straight" / "run"


def lines(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_two_processes_have_the_loss_curve_and_the_metrics_of_one_within_rounding(one, two):
    for alone, together in zip(lines(one), lines(two[0] / "straight" / "run"), strict=True):
        assert alone.keys() == together.keys()
        for name in alone:
            assert together[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-4), name


def test_two_processes_end_with_the_weights_of_one_within_rounding(one, two):
    alone, _ = checkpoint.load_tensors(one / "last.safetensors")
    together, _ = checkpoint.load_tensors(two[0] / "straight" / "run" / "last.safetensors")
    assert list(alone) == list(together)
    for name in alone:
        torch.testing.assert_close(together[name], alone[name], rtol=1e-2, atol=2e-4)


def test_two_processes_keep_the_val_scores_of_one_within_rounding(one, two):
    alone, together = (read_table(str(run / "val_scores.parquet")) for run in (one, two[0] / "straight" / "run"))
    assert together.drop_columns(["logit", "logit_0"]).equals(alone.drop_columns(["logit", "logit_0"]))
    assert together["logit"].to_numpy() == pytest.approx(alone["logit"].to_numpy(), rel=1e-2, abs=1e-2)


def test_a_run_of_two_says_so_and_says_what_else_a_run_of_one_says(one, two):
    alone, together = (json.loads((run / "run.json").read_text()) for run in (one, two[0] / "straight" / "run"))
    assert (alone["computed_on"]["processes"], together["computed_on"]["processes"]) == (1, 2)
    for name in ("config", "rows", "provenance", "model", "epochs", "stopped"):
        assert alone[name] == together[name]


@pytest.mark.parametrize("other", ["streamed", "resumed"])
def test_streamed_or_stopped_and_gone_on_with_two_processes_make_the_same_bytes(two, other):
    assert content(two[0] / other / "run") == content(two[0] / "straight" / "run")


def test_two_processes_make_one_ensemble_folder(two):
    folder = two[0] / "ensemble" / "run"
    assert {path.name for path in folder.iterdir()} == {
        "member-0", "member-1", "run.json", "metrics.jsonl", "metrics.csv", "golden.npz", "val_scores.parquet"
    }  # fmt: skip
    assert len(json.loads((folder / "run.json").read_text())["members"]) == 2


def test_batch_norm_over_both_processes_is_that_of_the_whole_batch(two):
    assert max(found["normed"] for found in two[1]) < 1e-5


def test_where_one_of_them_has_little_memory_both_take_the_same_pieces(two):
    for found in two[1]:
        assert found["rehearsed"]["pieces"] == 2
        assert found["rehearsed"]["logits"] == 16
    assert [found["rehearsed"]["said"] for found in two[1]] == [0, 2]


def test_what_they_tell_each_other_arrives(two):
    assert [found["told"] for found in two[1]] == [["by 0", 3, [0, 1]]] * 2


def test_a_batch_that_does_not_divide_is_refused_by_both(two):
    for found in two[1]:
        assert "a batch of 15 cannot be split equally among 2 processes" in found["uneven"]


def test_whoever_has_it_the_galaxy_that_made_the_nan_is_named_by_all(two):
    (row, said), (_, other) = (found["spoiled"] for found in two[1])
    assert said == other
    assert f"the brightest pixels of the batch belong to 0001p000_{row}, " in said


def test_the_trouble_of_one_process_is_said_once_and_ends_both(two):
    assert [found["ending"] for found in two[1]] == ["said by another", "only one of the two has this trouble"]


@pytest.mark.parametrize("size", [2, 4])
def test_a_part_of_a_batch_is_changed_as_it_is_in_the_whole(size):
    cutouts = torch.from_numpy(rings.images(np.zeros(8)))
    whole = Augmentation()(cutouts, 12, 7, 1, 2)
    for rank in range(size):
        here = Team(rank, size).part(8)
        assert torch.equal(Augmentation()(cutouts[here], 12, 7, 1, 2, first=here.start, of=8), whole[here])


def test_parts_are_the_batch_in_order_and_equal():
    assert [Team(rank, 4).part(12) for rank in range(4)] == [slice(k, k + 3) for k in (0, 3, 6, 9)]
    with pytest.raises(InputError, match="cannot be split equally among 5 processes"):
        Team(0, 5).part(12)


def under_torchrun(folder: Path, manifest: str) -> subprocess.CompletedProcess[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*torchrun, "-m", "lensctl", "train", manifest, "run", *SHORT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_under_torchrun_one_process_writes_and_speaks(tmp_path):
    make(tmp_path)
    done = under_torchrun(tmp_path, "m.parquet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 2
    assert done.stderr.count("epoch 2 of 2: ") == 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["computed_on"]["processes"] == 2


@pytest.mark.soak
def test_under_torchrun_a_bad_input_is_one_sentence_and_exit_2_of_a_process(tmp_path):
    failed = under_torchrun(tmp_path, "nowhere.parquet")
    assert failed.stderr.count("error: nowhere.parquet: no such file") == 1
    assert "exitcode  : 2" in failed.stderr


@pytest.mark.soak
def test_when_a_process_is_killed_the_other_says_so_and_together_they_go_on_to_the_same_bytes(tmp_path):
    both = (tmp_path / "killed", tmp_path / "straight")
    for folder in both:
        folder.mkdir()
        make(folder)
    command = [
        "-m",
        "lensctl",
        "train",
        "m.parquet",
        "run",
        *SHORT,
        "--epochs",
        "6",
        "--resume",
        "--checkpoint-every",
        "1",
    ]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = team_of_two(command, both[0], **quiet)
    while not (both[0] / ".run.part" / "whole" / "last.safetensors").exists():
        assert processes[0].poll() is None, processes[0].communicate()
        time.sleep(0.005)
    processes[1].send_signal(signal.SIGKILL)
    _, said = processes[0].communicate(timeout=120)
    processes[1].communicate()
    assert processes[0].returncode == 2, said
    assert said.count("error: ") == 1
    assert "another process of this run ended" in said
    assert "Traceback" not in said
    for folder in both:
        done = [(p.communicate(timeout=120), p.returncode) for p in team_of_two(command, folder, **quiet)]
        assert [status for _, status in done] == [0, 0], done
    assert content(both[0] / "run") == content(both[1] / "run")
