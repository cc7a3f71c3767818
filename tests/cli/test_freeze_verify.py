"""`lensctl freeze` and `lensctl verify` as commands."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sys

import pytest

from lensctl.cli.main import main
from lensctl.io.tables.files import read_table, write_table
from tests.toys import frozen as frozen_toys
from tests.toys import pixels, rings
from tests.toys.frozen import content, flip


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
    assert len(lines) == 12
    assert all(line["passed"] for line in lines)
    assert "is what was frozen" in err


def test_verify_says_no_and_names_the_file(folder, capfd):
    flip(folder / "frozen" / "model.pt2", 1234, 3)
    assert main(["verify", "frozen"]) == 1
    lines, err = said(capfd)
    (no,) = [line for line in lines if not line["passed"]]
    assert no["offenders"] == ["model.pt2"]
    assert "NOT what was frozen" in err


@pytest.mark.usefixtures("data")
def test_score_takes_a_frozen_model_only_if_it_verifies(folder, capfd):
    assert main(["score", "frozen", "manifest.parquet", "scores.parquet"]) == 0
    flip(folder / "frozen" / "thresholds.json", 100, 1)
    assert main(["score", "frozen", "manifest.parquet", "again.parquet"]) == 2
    assert "frozen: it does not verify (no file was touched: thresholds.json)" in capfd.readouterr().err
    assert not (folder / "again.parquet").exists()


def take_one(frozen):
    (frozen / "README.md").unlink()


def add_one(frozen):
    (frozen / "more").write_text("")


def link_out(frozen):
    (frozen / "more").symlink_to(frozen.parent / "run")


@pytest.mark.parametrize(
    ("change", "check", "name"),
    [
        (take_one, "no file is missing", "README.md"),
        (add_one, "no file is extra", "more"),
        (link_out, "neither links nor empty folders", "more"),
    ],
)
def test_verify_says_no_to_a_missing_or_extra_file_and_to_a_link_that_leads_out(folder, capfd, change, check, name):
    change(folder / "frozen")
    assert main(["verify", "frozen"]) == 1
    lines, err = said(capfd)
    (no,) = [line for line in lines if not line["passed"]]
    assert (no["check"], no["offenders"]) == (check, [name])
    assert "NOT what was frozen" in err


def test_verify_of_what_is_no_folder_cannot_be_done(folder, capfd):
    assert main(["verify", "gates.jsonl"]) == 2
    out, err = said(capfd)
    assert out == []
    assert err.startswith("error: gates.jsonl: no such folder")


@pytest.fixture
def keys(folder):
    """key.pem and key.pub in the current folder, other/key.pub of someone else."""
    frozen_toys.key_pair(folder)
    (folder / "other").mkdir()
    frozen_toys.key_pair(folder / "other")


def signature_of(lines):
    (line,) = [line for line in lines if line["check"] == "signature"]
    return line["passed"], line["value"]


@pytest.mark.usefixtures("keys")
def test_a_signed_model_is_asked_who_signed_it(folder, capfd):
    assert main([*FREEZE, "--sign", "key.pem"]) == 0
    assert said(capfd)[0][0]["signed"] is True
    for options, status, answer in (
        ([], 0, (True, "not checked")),
        (["--key", "key.pub"], 0, (True, "holds")),
        (["--key", "other/key.pub"], 1, (False, "it was made by another key")),
    ):
        assert main(["verify", "out", *options]) == status
        lines, err = said(capfd)
        assert signature_of(lines) == answer
        assert answer[1] in err
    assert main(["verify", "frozen", "--key", "key.pub"]) == 1
    assert signature_of(said(capfd)[0]) == (False, "it is not signed")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([*FREEZE, "--sign", "nowhere.pem"], "nowhere.pem: cannot be read (No such file or directory)"),
        ([*FREEZE, "--sign", "key.pub"], "key.pub: a public key, and only its private half can sign"),
        ([*FREEZE, "--sign", "gates.jsonl"], "gates.jsonl: not a private key in PEM"),
        (["verify", "frozen", "--key", "nowhere.pub"], "nowhere.pub: cannot be read (No such file or directory)"),
        (["verify", "frozen", "--key", "key.pem"], "key.pem: a private key: keep it to yourself"),
        (["verify", "frozen", "--key", "gates.jsonl"], "gates.jsonl: not a public key in PEM"),
    ],
)
def test_a_key_that_is_none_cannot_be_used(folder, capfd, argv, message):
    before = {path.name for path in folder.iterdir()}
    assert main(argv) == 2
    out, err = said(capfd)
    assert out == []
    assert err.startswith(f"error: {message}")
    assert "fix:" in err
    assert {path.name for path in folder.iterdir()} == before


def test_an_encrypted_key_is_opened_by_the_environment(folder, capfd, monkeypatch):
    frozen_toys.key_pair(folder, passphrase=b"open sesame")
    assert main([*FREEZE, "--sign", "key.pem"]) == 2  # and does not wait for an answer where nobody sits
    assert "set LENSCTL_SIGN_PASSPHRASE, or run it on a terminal" in said(capfd)[1]
    monkeypatch.setenv("LENSCTL_SIGN_PASSPHRASE", "wrong")
    assert main([*FREEZE, "--sign", "key.pem"]) == 2
    assert "key.pem: the passphrase does not open this key" in said(capfd)[1]
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
    assert b"the passphrase does not open this key" in shown
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


@pytest.fixture
def data(tmp_path_factory, folder):
    """manifest.parquet and its store in the current folder."""
    made = frozen_toys.bundle(tmp_path_factory)
    shutil.copy(made / "manifest.parquet", folder / "manifest.parquet")
    shutil.copytree(made / "s.zarr", folder / "s.zarr")


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
    assert "manifest and cutouts were not compared with what was trained on; --manifest FILE does it" in err


@pytest.mark.usefixtures("data")
def test_freeze_refuses_cutouts_that_changed_since_training(folder, capfd):
    _, cutouts = rings.manifest(160)
    cutouts.images[10] += 1
    shutil.rmtree(folder / "s.zarr")
    pixels.make_store(folder / "s.zarr", cutouts.images, shard_rows=64)
    assert main([*FREEZE, "--manifest", "manifest.parquet"]) == 2
    out, err = said(capfd)
    assert out == []
    assert "are not those the manifest was made from" in err
    assert not (folder / "out").exists()


@pytest.mark.usefixtures("data")
def test_freeze_refuses_a_manifest_that_changed_since_training(folder, capfd):
    table = read_table("manifest.parquet")
    write_table(rings.changed(table, "label", 0, 0), "manifest.parquet", overwrite=True)
    assert main([*FREEZE, "--manifest", "manifest.parquet"]) == 2
    assert said(capfd)[1].startswith("error: manifest.parquet: it changed since the run was trained on it (sha256:")
    assert main([*FREEZE, "--manifest", "nowhere.parquet"]) == 2
    assert "nowhere.parquet" in said(capfd)[1]


def test_verify_changes_nothing(folder):
    before = content(folder / "frozen")
    main(["verify", "frozen"])
    assert content(folder / "frozen") == before


@pytest.mark.parametrize("command", ["freeze", "verify"])
def test_help_has_an_example(command, capfd):
    assert main([command, "--help"]) == 0
    assert f"Example: lensctl {command} " in capfd.readouterr().out
