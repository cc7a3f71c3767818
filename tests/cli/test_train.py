"""`lensctl train`: killed it goes on to the same bytes, and what cannot be done is one sentence that leaves nothing."""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import io
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lensctl.cli.main import main
from lensctl.io.cutouts.store import open_store
from lensctl.io.provenance.steps import Step, extend, stamp
from lensctl.io.tables.files import read_table, write_table
from lensctl.learning.training import trackers
from tests.toys import pixels, rings

RECIPE = ["--arch", "shielded", "--crop", "16", "--epochs", "2", "--batch-size", "16", "--lr", "0.003", "--shift", "2"]
RECIPE += ["--threads", "1"]
PART = ".run.part/whole"


def make(folder: Path, count: int = 64) -> pa.Table:
    """A manifest and its store in a folder."""
    table, cutouts = rings.manifest(count, path="s.zarr")
    store = pixels.make_store(folder / "s.zarr", cutouts.images, shard_rows=16)
    table = table.set_column(0, "galaxy_id", store.index["galaxy_id"])
    table = stamp(table, extend(Step("manifest", {}), store.chain))
    write_table(table, str(folder / "m.parquet"))
    return table


@pytest.fixture
def folder(tmp_path) -> Path:
    make(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """A run that nothing interrupted, and what it said: `out` and `err`."""
    folder = tmp_path_factory.mktemp("straight")
    make(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        assert within(folder, "m.parquet", "run") == 0, err.getvalue()
    (folder / "out").write_text(out.getvalue())
    (folder / "err").write_text(err.getvalue())
    return folder


def within(folder: Path, *args: object) -> int:
    """Run the training command in a folder, within this process: its status."""
    with contextlib.chdir(folder):
        return main(command(*args)[3:])


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "lensctl", "train", *map(str, args), *RECIPE]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_it_makes_the_folder_and_says_so_in_one_line_of_json(straight):
    (line,) = (straight / "out").read_text().splitlines()
    told = json.loads(line)
    assert told["command"] == "train"
    assert told["output"] == "run"
    assert (told["train_rows"], told["val_rows"], told["left_out"], told["epochs"]) == (32, 16, 0, 2)
    said = (straight / "err").read_text()
    assert "epoch 2 of 2: train loss" in said
    assert "kept in host memory" in said
    run = json.loads((straight / "run" / "run.json").read_text())
    assert run["model_digest"] == told["model_digest"]
    assert [step["command"] for step in run["provenance"]] == ["cutout", "manifest", "train"]


def test_the_same_command_twice_gives_the_same_bytes_also_from_a_pipe_and_a_config(straight, folder):
    (folder / "c.yaml").write_text(
        "arch: shielded\ncrop: 16\nepochs: 2\nbatch_size: 16\nlr: 0.003\nshift: 2\nthreads: 1\npos-weight: 1.0\n"
    )
    line = f"{sys.executable} -m lensctl train m.parquet run --config c.yaml"
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert content(folder / "run") == content(straight / "run")


def test_options_win_over_the_config(here, folder):
    (folder / "c.yaml").write_text("arch: nonsense\n")
    status, _, err = here("train", "m.parquet", "run", "--config", "c.yaml", "--arch", "resnet81")
    assert status == 2
    assert "no arch 'resnet81'" in err


@pytest.mark.parametrize("seconds", [0.02, 0.3])
def test_killed_it_goes_on_to_the_same_bytes(straight, folder, seconds):
    killed_then_resumed(folder, seconds)
    assert content(folder / "run") == content(straight / "run")


@pytest.mark.soak
def test_killed_many_times_anywhere_it_ends_in_the_same_bytes(straight, tmp_path):
    random = np.random.default_rng(0)
    for k in range(40):
        here = tmp_path / str(k)
        here.mkdir()
        make(here)
        for _ in range(random.integers(1, 4)):
            killed_then_resumed(here, random.uniform(0, 2.5), finish=False)
        killed_then_resumed(here, 0.0)
        assert content(here / "run") == content(straight / "run")


def killed_then_resumed(folder: Path, seconds: float, *options: str, finish: bool = True) -> None:
    """kill -9 so long after the run's folder appears; then the same command with --resume."""
    every = ("--checkpoint-every", "1")
    process = subprocess.Popen(
        command("m.parquet", "run", "--resume", *every, *options),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list((folder / PART).glob("**/run.json")):
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if finish:
        assert within(folder, "m.parquet", "run", "--resume") == 0


@pytest.mark.soak
def test_an_ensemble_killed_many_times_ends_in_the_same_bytes(tmp_path):
    random = np.random.default_rng(1)
    folders = [tmp_path / "straight", tmp_path / "killed"]
    for here in folders:
        here.mkdir()
        make(here)
    for _ in range(8):
        killed_then_resumed(folders[1], random.uniform(0, 1.5), "--ensemble", "3", finish=False)
    for here in folders:
        assert within(here, "m.parquet", "run", "--resume", "--ensemble", "3") == 0
    assert content(folders[1] / "run") == content(folders[0] / "run")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A folder that is a disk of three megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_without_room_for_the_checkpoint_is_said_and_nothing_is_lost(here, folder, straight, small_disk):
    line = ["train", "m.parquet", small_disk / "run", *RECIPE]
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_600_000))  # room for the first checkpoint, none to replace it
    status, out, err = here(*line)
    assert status == 2, err
    assert "last.safetensors could not be written (No space left on device)" in err
    assert "the last checkpoint is in .run.part/whole/" in err
    assert "--resume" in err
    assert "Traceback" not in err
    assert out == ""
    assert not (small_disk / "run").exists()
    ballast.unlink()
    status, _, err = here(*line, "--resume")
    assert status == 0, err
    assert "resumes after 1 epochs" in err
    assert content(small_disk / "run") == content(straight / "run")


def test_from_npz_it_trains_to_the_weights_it_has_from_a_store(here, folder, straight):
    table = read_table(str(folder / "m.parquet"))
    images = open_store(folder / "s.zarr").read(np.arange(table.num_rows))
    (folder / "npz").mkdir()
    for row, (of, image) in enumerate(zip(table.to_pylist(), images, strict=True)):
        meta = {f"meta_{name}": of[name] for name in ("galaxy_id", "ra", "dec")}
        np.savez(folder / "npz" / f"{row:03d}.npz", cutout=image, **meta)
    paths = pa.array([f"npz/{row:03d}.npz" for row in range(table.num_rows)])
    nowhere = pa.nulls(table.num_rows, pa.int64())
    columns = table.column_names
    other = table.set_column(columns.index("cutout_path"), "cutout_path", paths)
    other = other.set_column(columns.index("cutout_index"), "cutout_index", nowhere)
    write_table(other, str(folder / "n.parquet"))
    status, _, err = here("train", "n.parquet", "run", *RECIPE)
    assert status == 0, err
    assert (folder / "run" / "best.safetensors").read_bytes() == (straight / "run" / "best.safetensors").read_bytes()


def test_from_s3_it_trains_and_scores_as_from_disk(here, folder, straight, bucket):
    from lensctl.io.storage import s3

    for path in (folder / "m.parquet", *(folder / "s.zarr").rglob("*")):
        if path.is_file():
            s3.upload(path, f"s3://{bucket}/{path.relative_to(folder)}")
    status, _, err = here("train", f"s3://{bucket}/m.parquet", "run", *RECIPE, "--feed", "stream")
    assert status == 0, err
    assert "streamed from the store in shuffled blocks" in err
    assert (folder / "run" / "best.safetensors").read_bytes() == (straight / "run" / "best.safetensors").read_bytes()
    status, out, err = here("score", "run", f"s3://{bucket}/m.parquet", f"s3://{bucket}/scores.parquet")
    assert status == 0, err
    assert json.loads(out)["scored"] == 64


def on_a_terminal(line: list[str], folder: Path, rows: int, columns: int) -> str:
    """What a command writes to a terminal of its own."""
    size = struct.pack("HHHH", rows, columns, 0, 0)
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, size)
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        line, cwd=folder, stdin=follower, stdout=subprocess.DEVNULL, stderr=follower, env={**env, "TERM": "xterm"}
    )
    os.close(follower)
    seen = bytearray()
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
        while part := os.read(leader, 65536):
            seen += part
    os.close(leader)
    assert process.wait() == 0, seen.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())


def test_on_a_terminal_a_table_grows_by_a_row_an_epoch_and_fits(folder):
    seen = on_a_terminal(command("m.parquet", "run"), folder, 24, 80)
    last = [line.split() for line in seen[seen.rindex("─" * 80) :].splitlines()[1:] if line.strip()]
    assert [row[0] for row in last] == ["1", "2"]
    metrics = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row[5] for row in last] == [f"{epoch['val_auc']:.3f}" for epoch in metrics]
    assert "epoch 2 of 2" in seen
    assert max(map(len, seen.splitlines())) <= 80


def test_a_finished_run_is_resumed_by_doing_nothing_and_else_refused(here, straight, folder):
    shutil.copytree(straight / "run", folder / "run")
    before = content(folder)
    status, out, err = here("train", "m.parquet", "run", *RECIPE, "--resume")
    assert status == 0, err
    assert "nothing to do" in err
    assert json.loads(out)["epochs"] == 2
    status, _, err = here("train", "m.parquet", "run", *RECIPE)
    assert status == 2
    assert "run exists" in err
    status, _, err = here("train", "m.parquet", "run", *RECIPE, "--resume", "--dropout", "0.5")
    assert status == 2
    assert "dropout was 0.0 and is 0.5" in err
    status, _, err = here("train", "m.parquet", "run", *RECIPE, "--resume", "--threads", "2")
    assert status == 2
    assert "threads was 1 and is 2" in err  # other weights, by rounding
    assert content(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.parquet", "run"], "nowhere.parquet: no such file"),
        (["-", "run"], "add --root"),
        (["m.parquet", "run", "--fold", "1/2"], "not a fold"),
        (["m.parquet", "run", "--crop", "48"], "smaller than the crop"),
        (["m.parquet", "run", "--init", "w.pth"], "w.pth: no such file"),
        (["m.parquet", "run", "--recipe", "plans"], "no recipe 'plans' (did you mean 'plan'?)"),
        (["m.parquet", "run", "--init", "m.parquet", "--without-ref", "paper one"], "say it with --init-trained-on"),
        (["m.parquet", "run", "--cutouts-seen", "9", "--samples-per-epoch", "9"], "both say how long an epoch is"),
        (["m.parquet", "run", "--pos-weight", "heavy"], "pos_weight = heavy is neither a number nor 'balanced'"),
        (["m.parquet", "run", "--pos-weight", "2"], "pos_weight = 2.0 and positive_share = 0.3 both favour lenses"),
        (["m.parquet", "run", "--positive-share", "half"], "positive_share = half is neither a number nor 'data'"),
        (["m.parquet", "run", "--epoch", "3"], "--epoch"),
        (["m.parquet", "run", "--config", "typo.yaml"], "no setting 'epoch' (did you mean 'epochs'?)"),
        (["m.parquet", "run", "--track", "tensorbord"], "did you mean 'tensorboard'"),
        (["m.parquet", "nowhere/run"], "folder nowhere/ does not exist"),
        (["m.parquet", "-"], "this output cannot go through a pipe"),
        (["m.parquet", "run", "--lr", "0"], "lr = 0.0 is outside"),
        (["m.parquet", "run", "--lr", "0.001", "--lr-end", "0.01"], "lr_end = 0.01 is above lr = 0.001"),
        (["m.parquet", "run", "--positive-share", "1"], "positive_share = 1.0 is outside"),
        (["m.parquet", "s3://bucket/run"], "s3://bucket/run: a run must be on local disk"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(here, folder, arguments, message):
    (folder / "typo.yaml").write_text("epoch: 3\n")
    before = content(folder)
    status, out, err = here("train", *arguments)
    assert status == 2, err
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert content(folder) == before


def test_a_missing_store_is_named(here, folder):
    (folder / "s.zarr").rename(folder / "gone.zarr")
    status, _, err = here("train", "m.parquet", "run")
    assert status == 2
    assert "s.zarr: no such store" in err
    assert not (folder / "run").exists()


def test_one_class_is_refused(here, folder):
    table = read_table(str(folder / "m.parquet"))
    none = table.set_column(table.column_names.index("label"), "label", pa.array([0] * table.num_rows, pa.int8()))
    write_table(none, str(folder / "m.parquet"), overwrite=True)
    status, _, err = here("train", "m.parquet", "run")
    assert status == 2
    assert "no usable positives" in err


def test_a_tracker_that_is_not_installed_is_said_plainly(here, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, err = here("train", "m.parquet", "run", "--track", "wandb")
    assert status == 2
    assert "pip install 'lensctl[track]'" in err


def test_a_tracker_gets_the_metrics_of_each_epoch(here, monkeypatch):
    told: list[tuple[int, int]] = []

    class Told:
        def __init__(self, run_dir, config):
            assert config["arch"] == "shielded"

        def log(self, member, metrics):
            told.append((member, metrics["epoch"]))

        def close(self):
            told.append((-1, -1))

    monkeypatch.setitem(trackers.TRACKERS, "json", Told)
    status, _, err = here("train", "m.parquet", "run", *RECIPE, "--track", "json")
    assert status == 0, err
    assert told == [(0, 1), (0, 2), (-1, -1)]


def test_the_options_are_the_recipes_fields_with_its_defaults():
    from lensctl.cli.train import train
    from lensctl.learning.training.settings import WORDS, TrainConfig, number_or

    options = inspect.signature(train).parameters
    for field in fields(TrainConfig):
        given = options[field.name].default
        given = number_or(WORDS[field.name], given, field.name) if field.name in WORDS else given
        assert (tuple(given) if isinstance(given, list) else given) == field.default, field.name


def config_of(here, *options: str) -> dict:
    """What a run records of its settings."""
    status, _, err = here("train", "m.parquet", "run", *RECIPE[:4], "--batch-size", "16", "--overwrite", *options)
    assert status == 0, err
    return json.loads(Path("run/run.json").read_text())["config"]


def test_a_recipe_gives_defaults_over_which_the_config_and_options_win(here, folder, monkeypatch):
    from lensctl.learning.training import recipes

    monkeypatch.chdir(folder)
    monkeypatch.setitem(recipes.RECIPES, "plan", {"epochs": 2, "shift": 1, "noise": 0.05, "crop": 17})
    (folder / "c.yaml").write_text("shift: 2\nnoise: 0.02\nrecipe: plan\n")
    assert config_of(here, "--recipe", "plan") | {"epochs": 2, "shift": 1, "noise": 0.05, "crop": 16} == config_of(
        here, "--recipe", "plan"
    )
    for options in (["--config", "c.yaml"], ["--recipe", "plan", "--config", "c.yaml"]):
        config = config_of(here, *options, "--noise", "0.01")
        assert (config["epochs"], config["shift"], config["noise"], config["crop"]) == (2, 2, 0.01, 16)


def test_the_receipt_says_how_many_cutouts_were_seen(straight):
    assert json.loads((straight / "out").read_text())["cutouts_seen"] == 64
    assert (
        "4 steps of 16 cutouts in 2 epochs: 64 cutouts seen, each row about 2 times" in (straight / "err").read_text()
    )
