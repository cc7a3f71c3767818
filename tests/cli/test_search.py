"""`lensctl search` as people call it: one JSON line, tables for people, options, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lensctl.cli.main import main
from tests.toys import searches

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def folder(bundle: Path, tmp_path: Path) -> Path:
    searches.make(tmp_path)
    (tmp_path / "frozen").symlink_to(bundle / "frozen")
    return tmp_path


SEARCH = ["search", "frozen", "t.parquet", "out", "--root", "sky", "--device", "cpu", "--workers", "1"]


def test_it_says_what_it_made_in_one_line_and_the_rest_to_people(here, folder):
    status, out, err = here(*SEARCH, "--lenses", "lenses.csv", "--keep", 9)
    assert status == 0, err
    assert out.count("\n") == 1
    told = json.loads(out)
    assert (told["command"], told["rows"], told["candidates"]) == ("search", 215, 9)
    assert told["scored"] + told["lost"] == 215
    assert told["rows_per_second"] > 0
    for title in ("Funnel", "Rows above each threshold", "Known lenses", "Recall of known lenses"):
        assert title in err
    assert "no score: missing_brick" in err
    status, out, err = here(*SEARCH, "--lenses", "lenses.csv", "--keep", 9)
    assert (status, json.loads(out)["files"]) == (0, 1)
    assert "nothing to do" in err


def test_a_dry_run_tells_the_work_and_makes_nothing(here, folder):
    status, out, err = here(*SEARCH, "--dry-run")
    assert status == 0, err
    told = json.loads(out)
    assert {"rows", "bricks", "bytes_to_read", "hours", "disk_bytes", "rows_per_second"} <= set(told)
    assert "Work to do" in err
    assert not [path for path in folder.iterdir() if "out" in path.name]


def test_settings_may_stand_in_a_file(here, folder):
    (folder / "s.yaml").write_text("root: sky\ndevice: cpu\nworkers: 1\nkeep: 3\nlenses: [lenses.csv]\n")
    status, out, err = here("search", "frozen", "t.parquet", "out", "--config", "s.yaml")
    assert status == 0, err
    assert json.loads(out)["candidates"] == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--part", "1/2", "--overwrite"], "--part cannot be combined"),
        (["--finish"], "have not been searched"),
        (["--keep", "0"], "--keep"),
        (["--criteria", "paper"], "no criteria 'paper' (did you mean 'paper4'?)"),
        (["--threshold", "fpr=1"], "the model has no threshold 'fpr=1'"),
        (["--max-empty", "2"], "--max-empty"),
        (["--key", "none.pub"], "none.pub"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_2(here, folder, more, message):
    status, out, err = here(*SEARCH, *more)
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not (folder / "out").exists()


def test_a_full_disk_is_one_sentence_and_what_was_done_is_kept(here, folder, monkeypatch):
    from lensctl.io.storage import growing_folders

    written = growing_folders.replace_file

    def full(path, pieces, **how):
        if "scored-" in str(path):
            raise OSError(28, "No space left on device", str(path))
        written(path, pieces, **how)

    monkeypatch.setattr(growing_folders, "replace_file", full)
    status, out, err = here(*SEARCH)
    assert (status, out) == (2, "")
    assert "No space left on device" in err
    assert "Traceback" not in err
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert main(SEARCH) == 0
