"""`lensctl selection attach` as people call it, and `verify` and `show` of what it made."""

from __future__ import annotations

import json
import re

import pytest

from lensctl.cli.main import main
from tests.toys import attaching as toys
from tests.toys import frozen as frozen_toys
from tests.toys.freezing import said
from tests.toys.frozen import content, flip

pytestmark = pytest.mark.usefixtures("tiny_network")

ATTACH = ["selection", "attach", "frozen", "selection", "attached", "--gates", "gates.jsonl"]


@pytest.fixture
def folder(tmp_path_factory, tmp_path, monkeypatch):
    """The current folder, with frozen/, selection/ and gates.jsonl."""
    toys.copy_of(toys.bundle(tmp_path_factory), tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_of_the_help_works_and_says_in_one_line_what_it_made(folder, capfd):
    assert main(["selection", "attach", "--help"]) == 0
    (example,) = re.findall(r"Example: lensctl (.*)", re.sub(r"\\\n\s*", "", capfd.readouterr().out))
    assert example.split() == ATTACH
    assert main(example.split()) == 0
    (line,), err = said(capfd)
    assert line.pop("seconds") >= 0
    assert (line["command"], line["action"], line["output"]) == ("selection", "attach", "attached")
    assert (line["level"], line["thresholds"], line["signed"], line["mock"]) == ("selection", ["p=0.5"], False, False)
    assert "Traceback" not in err


def test_verify_says_the_level_and_compares_the_frozen_model(folder, capfd):
    assert main(ATTACH) == 0
    capfd.readouterr()
    assert main(["verify", "attached"]) == 0
    lines, err = said(capfd)
    assert [line["value"] for line in lines if line["check"] == "level"] == ["selection"]
    assert "give it with --frozen" in lines[-1]["note"]
    assert "attached: verified" in err
    assert main(["verify", "attached", "--frozen", "frozen"]) == 0
    assert said(capfd)[0][-1]["limit"] == lines[-1]["value"]
    flip(folder / "frozen" / "thresholds.json", 100, 1)
    assert main(["verify", "attached", "--frozen", "frozen"]) == 1
    assert said(capfd)[0][-1]["offenders"] == ["no file was touched"]
    flip(folder / "attached" / "selection" / "evaluate.py", 2, 1)
    assert main(["verify", "attached"]) == 1
    (no,) = [line for line in said(capfd)[0] if not line["passed"]]
    assert no["offenders"] == ["selection/evaluate.py"]


def test_show_describes_it(folder, capfd):
    assert main(ATTACH) == 0
    capfd.readouterr()
    assert main(["show", "attached"]) == 0
    (line,), err = said(capfd)
    assert (line["kind"], line["level"]) == ("selection function of a frozen model", "selection")
    assert "selection attach" in err


def test_it_is_signed_by_a_key_and_asks_for_that_of_the_model(folder, capfd, monkeypatch):
    frozen_toys.key_pair(folder, passphrase=b"open sesame")
    monkeypatch.setenv("LENSCTL_SIGN_PASSPHRASE", "open sesame")
    assert main([*ATTACH, "--sign", "key.pem"]) == 0
    assert said(capfd)[0][0]["signed"] is True
    assert main(["verify", "attached", "--key", "key.pub"]) == 0
    capfd.readouterr()
    assert main([*ATTACH[:4], "other", *ATTACH[5:], "--key", "key.pub"]) == 2
    assert "error: frozen: verification failed at 'signature' (not signed)" in said(capfd)[1]
    assert not (folder / "other").exists()


def test_an_existing_folder_is_refused_and_replaced_when_told(folder, capfd):
    assert main(ATTACH) == 0
    first = content(folder / "attached")
    assert main(ATTACH) == 2
    assert "attached exists" in said(capfd)[1]
    assert content(folder / "attached") == first
    assert main([*ATTACH, "--overwrite"]) == 0
    assert content(folder / "attached") == first


def test_it_takes_its_options_from_a_config(folder):
    (folder / "c.yaml").write_text("gates: [gates.jsonl]\n")
    assert main([*ATTACH[:5], "--config", "c.yaml"]) == 0
    assert json.loads((folder / "attached" / "attachment.json").read_text())["level"] == "selection"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (ATTACH[:5], "Missing option '--gates'"),
        ([*ATTACH, "--gates", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        ([*ATTACH[:2], "nowhere", *ATTACH[3:]], "nowhere: not a frozen model"),
        ([*ATTACH[:3], "frozen", *ATTACH[4:]], "frozen/selection.json: cannot be read"),
        ([*ATTACH[:3], "nowhere", *ATTACH[4:]], "nowhere: no such folder"),
        ([*ATTACH[:4], "no/where", *ATTACH[5:]], "folder no/ does not exist"),
        ([*ATTACH[:4], "-", *ATTACH[5:]], "this output cannot go through a pipe"),
        ([*ATTACH, "--key", "nowhere.pub"], "nowhere.pub: cannot be read"),
        ([*ATTACH, "--sign", "gates.jsonl"], "gates.jsonl: not a private key in PEM"),
        (["verify", "frozen", "--frozen", "frozen"], "frozen: is no attachment"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_exit_2_and_nothing_written(folder, capfd, line, message):
    before = sorted(folder.iterdir())
    assert main(line) == 2
    out, err = said(capfd)
    assert (out, message in err, "Traceback" in err) == ([], True, False), err
    assert err.startswith("error: ")
    assert sorted(folder.iterdir()) == before
