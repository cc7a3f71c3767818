"""`lensctl freeze` and `lensctl verify` as commands."""

from __future__ import annotations

import json
import shutil

import pytest

from lensctl.cli.main import main
from tests import frozen_toys
from tests.frozen_toys import content, flip


@pytest.fixture(autouse=True, scope="module")
def _small_and_quick():
    with frozen_toys.tiny_network():
        yield


@pytest.fixture
def folder(tmp_path_factory, tmp_path, monkeypatch):
    """The current folder, with run/, evaluation/ and gates.jsonl."""
    made = frozen_toys.bundle(tmp_path_factory)
    for name in ("run", "evaluation", "frozen"):
        shutil.copytree(made / name, tmp_path / name)
    shutil.copy(made / "gates.jsonl", tmp_path / "gates.jsonl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


FREEZE = ["freeze", "run", "out", "--evaluation", "evaluation", "--gates", "gates.jsonl"]


def said(capfd):
    """Lines of JSON on stdout, and stderr."""
    out, err = capfd.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


def test_freeze_makes_the_folder_and_says_so_in_one_line(folder, capfd):
    assert main(FREEZE) == 0
    (line,), _ = said(capfd)
    assert line["command"] == "freeze"
    assert line["output"] == "out"
    assert (line["members"], line["golden"], line["gates_let_pass"], line["mock"]) == (1, 16, 0, False)
    assert content(folder / "out") == content(folder / "frozen")


def test_freeze_refuses_what_exists_unless_told(folder, capfd):
    (folder / "out").mkdir()
    (folder / "out" / "mine").write_text("kept")
    assert main(FREEZE) == 2
    assert "out exists" in said(capfd)[1]
    assert content(folder / "out") == {"mine": b"kept"}
    assert main([*FREEZE, "--overwrite"]) == 0
    assert content(folder / "out") == content(folder / "frozen")
    assert main([*FREEZE, "--overwrite"]) == 0  # read-only files do not stand in the way


def test_freeze_that_refuses_leaves_nothing(folder, capfd):
    lines = frozen_toys.gate_lines(folder)
    frozen_toys.write_gates(folder, lines[:-1])
    before = {path.name for path in folder.iterdir()}
    assert main(FREEZE) == 2
    out, err = said(capfd)
    assert out == []
    assert err.startswith("error: gates do not allow it: trained: there is no line of it")
    assert "fix:" in err
    assert {path.name for path in folder.iterdir()} == before


def test_freeze_takes_a_reason_and_says_what_it_let_pass(folder, capfd):
    frozen_toys.write_gates(folder, frozen_toys.gate_lines(folder)[:-1])
    assert main([*FREEZE, "--allow-failed", "a first try"]) == 0
    (line,), err = said(capfd)
    assert line["gates_let_pass"] == 1
    assert "let pass: trained: there is no line of it" in err
    assert main(["verify", "out"]) == 0
    out, _ = said(capfd)
    assert any(check.get("note") == "let pass, because: a first try" for check in out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--evaluation", "nowhere"], "there is no metrics.json in it"),
        (["--gates", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--no-such"], "No such option"),
    ],
)
def test_freeze_says_plainly_what_is_wrong(folder, capfd, change, message):
    assert main([*FREEZE, *change]) == 2
    out, err = said(capfd)
    assert out == []
    assert message in err
    assert not (folder / "out").exists()


def test_freeze_of_what_is_no_run_is_refused(folder, capfd):
    assert main(["freeze", "evaluation", *FREEZE[2:]]) == 2
    assert "neither run.json nor frozen.json" in said(capfd)[1]


def test_freeze_takes_its_options_from_a_config(folder, capfd):
    (folder / "c.yaml").write_text("evaluation: evaluation\ngates: [gates.jsonl]\n")
    assert main(["freeze", "run", "out", "--config", "c.yaml"]) == 0
    assert content(folder / "out") == content(folder / "frozen")


def test_verify_says_yes_with_a_line_for_each_check(folder, capfd):
    assert main(["verify", "frozen"]) == 0
    lines, err = said(capfd)
    assert len(lines) == 11
    assert all(line["passed"] for line in lines)
    assert "is what was frozen" in err


def test_verify_says_no_and_names_the_file(folder, capfd):
    flip(folder / "frozen" / "model.pt2", 1234, 3)
    assert main(["verify", "frozen"]) == 1
    lines, err = said(capfd)
    (no,) = [line for line in lines if not line["passed"]]
    assert no["offenders"] == ["model.pt2"]
    assert "NOT what was frozen" in err


def test_verify_of_what_is_no_folder_cannot_be_done(folder, capfd):
    assert main(["verify", "gates.jsonl"]) == 2
    out, err = said(capfd)
    assert out == []
    assert err.startswith("error: gates.jsonl: no such folder")


def test_verify_changes_nothing(folder):
    before = content(folder / "frozen")
    main(["verify", "frozen"])
    assert content(folder / "frozen") == before


@pytest.mark.parametrize("command", ["freeze", "verify"])
def test_help_has_an_example(command, capfd):
    assert main([command, "--help"]) == 0
    assert f"Example: lensctl {command} " in capfd.readouterr().out
