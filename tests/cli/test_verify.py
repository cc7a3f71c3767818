"""`lensctl verify`: a line for each check, the touched file and the signer named, and nothing changed."""

from __future__ import annotations

import shutil

import pytest

from lensctl.cli.main import main
from tests.toys import frozen as frozen_toys
from tests.toys.freezing import FREEZE, copy_of, said
from tests.toys.frozen import content, flip

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def folder(tmp_path_factory, tmp_path, monkeypatch):
    """The current folder, with run/, evaluation/ and gates.jsonl."""
    copy_of(frozen_toys.bundle(tmp_path_factory), tmp_path, "run", "evaluation", "frozen")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_verify_says_yes_with_a_line_for_each_check(folder, capfd):
    assert main(["verify", "frozen"]) == 0
    lines, err = said(capfd)
    assert len(lines) == 12
    assert all(line["passed"] for line in lines)
    assert "frozen: verified" in err


def test_verify_says_no_and_names_the_file(folder, capfd):
    flip(folder / "frozen" / "model.pt2", 1234, 3)
    assert main(["verify", "frozen"]) == 1
    lines, err = said(capfd)
    (no,) = [line for line in lines if not line["passed"]]
    assert no["offenders"] == ["model.pt2"]
    assert "verification FAILED" in err


@pytest.fixture
def data(tmp_path_factory, folder):
    """manifest.parquet and its store in the current folder."""
    made = frozen_toys.bundle(tmp_path_factory)
    shutil.copy(made / "manifest.parquet", folder / "manifest.parquet")
    shutil.copytree(made / "s.zarr", folder / "s.zarr")


@pytest.mark.usefixtures("data")
def test_score_takes_a_frozen_model_only_if_it_verifies(folder, capfd):
    assert main(["score", "frozen", "manifest.parquet", "scores.parquet"]) == 0
    flip(folder / "frozen" / "thresholds.json", 100, 1)
    assert main(["score", "frozen", "manifest.parquet", "again.parquet"]) == 2
    assert "frozen: verification failed at 'no file was touched' (thresholds.json)" in capfd.readouterr().err
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
    assert "verification FAILED" in err


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


@pytest.mark.usefixtures("data", "keys")
def test_score_takes_a_frozen_model_of_one_signer_alone(folder, capfd):
    assert main([*FREEZE, "--sign", "key.pem"]) == 0
    line = ["score", "out", "manifest.parquet"]
    assert main([*line, "by-anyone.parquet"]) == 0
    assert main([*line, "by-key.parquet", "--key", "key.pub"]) == 0
    assert (folder / "by-key.parquet").read_bytes() == (folder / "by-anyone.parquet").read_bytes()
    capfd.readouterr()
    for options, problem in (
        (["out", "manifest.parquet", "no.parquet", "--key", "other/key.pub"], "at 'signature' (made by another key)"),
        (["frozen", "manifest.parquet", "no.parquet", "--key", "key.pub"], "at 'signature' (not signed)"),
        (["run", "manifest.parquet", "no.parquet", "--key", "key.pub"], "run: a run is not signed, but a key is given"),
        (["out", "manifest.parquet", "no.parquet", "--key", "nowhere"], "nowhere: cannot be read"),
    ):
        assert main(["score", *options]) == 2
        assert problem in capfd.readouterr().err
        assert not (folder / "no.parquet").exists()


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
        (["--key", "other/key.pub"], 1, (False, "made by another key")),
    ):
        assert main(["verify", "out", *options]) == status
        lines, err = said(capfd)
        assert signature_of(lines) == answer
        assert answer[1] in err
    assert main(["verify", "frozen", "--key", "key.pub"]) == 1
    assert signature_of(said(capfd)[0]) == (False, "not signed")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([*FREEZE, "--sign", "nowhere.pem"], "nowhere.pem: cannot be read (No such file or directory)"),
        ([*FREEZE, "--sign", "key.pub"], "key.pub: a public key; signing needs the private key"),
        ([*FREEZE, "--sign", "gates.jsonl"], "gates.jsonl: not a private key in PEM"),
        (["verify", "frozen", "--key", "nowhere.pub"], "nowhere.pub: cannot be read (No such file or directory)"),
        (["verify", "frozen", "--key", "key.pem"], "key.pem: a private key; do not share it"),
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


def test_verify_changes_nothing(folder):
    before = content(folder / "frozen")
    assert main(["verify", "frozen"]) == 0
    assert content(folder / "frozen") == before


@pytest.mark.parametrize("command", ["freeze", "verify"])
def test_help_has_an_example(command, capfd):
    assert main([command, "--help"]) == 0
    assert f"Example: lensctl {command} " in capfd.readouterr().out
