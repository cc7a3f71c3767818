"""`lensctl freeze`: it says what it made and what it let pass, and refuses in a sentence, leaving nothing."""

from __future__ import annotations

import os
import pty
import shutil
import sys

import pytest

from lensctl.cli.main import main
from lensctl.io.tables.files import read_table, write_table
from tests.toys import frozen as frozen_toys
from tests.toys import pixels, rings
from tests.toys.freezing import FREEZE, copy_of, said
from tests.toys.frozen import content

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def folder(tmp_path_factory, tmp_path, monkeypatch):
    """The current folder, with run/, evaluation/ and gates.jsonl."""
    copy_of(frozen_toys.bundle(tmp_path_factory), tmp_path, "run", "evaluation", "frozen")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(tmp_path_factory, folder):
    """manifest.parquet and its store in the current folder."""
    made = frozen_toys.bundle(tmp_path_factory)
    shutil.copy(made / "manifest.parquet", folder / "manifest.parquet")
    shutil.copytree(made / "s.zarr", folder / "s.zarr")


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
    assert err.startswith("error: required gates did not pass: trained: there is no line of it")
    assert "fix:" in err
    assert {path.name for path in folder.iterdir()} == before


def test_freeze_takes_a_reason_and_says_what_it_let_pass(folder, capfd):
    frozen_toys.write_gates(folder, frozen_toys.gate_lines(folder)[:-1])
    assert main([*FREEZE, "--allow-failed", "a first try"]) == 0
    (line,), err = said(capfd)
    assert line["gates_let_pass"] == 1
    assert "waived: trained: there is no line of it" in err
    assert main(["verify", "out"]) == 0
    out, _ = said(capfd)
    assert any(check.get("note") == "waived: a first try" for check in out)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--evaluation", "nowhere"], "no metrics.json in this folder"),
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


def test_an_encrypted_key_is_opened_by_the_environment(folder, capfd, monkeypatch):
    frozen_toys.key_pair(folder, passphrase=b"open sesame")
    assert main([*FREEZE, "--sign", "key.pem"]) == 2  # and does not wait for an answer where nobody sits
    assert "set LENSCTL_SIGN_PASSPHRASE, or run it on a terminal" in said(capfd)[1]
    monkeypatch.setenv("LENSCTL_SIGN_PASSPHRASE", "wrong")
    assert main([*FREEZE, "--sign", "key.pem"]) == 2
    assert "key.pem: incorrect passphrase" in said(capfd)[1]
    assert not (folder / "out").exists()
    monkeypatch.setenv("LENSCTL_SIGN_PASSPHRASE", "open sesame")
    assert main([*FREEZE, "--sign", "key.pem"]) == 0
    assert main(["verify", "out", "--key", "key.pub"]) == 0
    assert not [name for name, data in content(folder / "out").items() if b"sesame" in data]


def test_on_a_terminal_the_passphrase_is_asked_for_and_not_shown(folder):
    frozen_toys.key_pair(folder, passphrase=b"open sesame")
    command = [sys.executable, "-m", "lensctl", *FREEZE, "--sign", "key.pem"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    shown = read_until(terminal, b"Passphrase of key.pem: ")
    os.write(terminal, b"wrong\n")
    shown += read_until(terminal, None)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert b"incorrect passphrase" in shown
    assert b"wrong" not in shown
    assert not (folder / "out").exists()


def read_until(terminal, text):
    """What a terminal shows up to a text, or up to its end."""
    shown = b""
    while text is None or text not in shown:
        try:
            part = os.read(terminal, 1024)
        except OSError:  # how a terminal ends
            part = b""
        if not part:
            break
        shown += part
    return shown


@pytest.mark.usefixtures("data")
def test_freeze_compares_manifest_and_cutouts_where_they_are_named(folder, capfd):
    assert main([*FREEZE, "--manifest", "manifest.parquet"]) == 0
    (line,), err = said(capfd)
    assert line["cutouts_compared"] == 160
    assert "were not compared" not in err
    assert main(["verify", "out"]) == 0
    capfd.readouterr()
    assert main([*FREEZE, "--overwrite"]) == 0
    (line,), err = said(capfd)
    assert line["cutouts_compared"] == 0
    assert "manifest and cutouts were not compared with the training data; use --manifest FILE to do so" in err


@pytest.mark.usefixtures("data")
def test_freeze_refuses_cutouts_that_changed_since_training(folder, capfd):
    _, cutouts = rings.manifest(160)
    cutouts.images[10] += 1
    shutil.rmtree(folder / "s.zarr")
    pixels.make_store(folder / "s.zarr", cutouts.images, shard_rows=64)
    assert main([*FREEZE, "--manifest", "manifest.parquet"]) == 2
    out, err = said(capfd)
    assert out == []
    assert "are not those recorded for it" in err
    assert not (folder / "out").exists()


@pytest.mark.usefixtures("data")
def test_freeze_refuses_a_manifest_that_changed_since_training(folder, capfd):
    table = read_table("manifest.parquet")
    write_table(rings.changed(table, "label", 0, 0), "manifest.parquet", overwrite=True)
    assert main([*FREEZE, "--manifest", "manifest.parquet"]) == 2
    assert said(capfd)[1].startswith("error: manifest.parquet: changed since training (sha256:")
    assert main([*FREEZE, "--manifest", "nowhere.parquet"]) == 2
    assert "nowhere.parquet" in said(capfd)[1]
