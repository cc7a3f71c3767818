"""A frozen model as one file, with citation and licence: it unpacks with tar and unzip, and verifies."""

from __future__ import annotations

import shutil
import stat
import subprocess
import zipfile

import pytest
import yaml

from lensctl.cli.main import main
from lensctl.freeze import archive
from lensctl.frozen import layout, signature
from lensctl.rules.errors import InputError
from tests.toys import frozen as frozen_toys
from tests.toys.credit import CFF, write_credit
from tests.toys.freezing import FREEZE, copy_of, failed, said
from tests.toys.frozen import content

pytestmark = pytest.mark.usefixtures("tiny_network")
CREDIT = ["--citation", "CITATION.cff", "--licence", "LICENSE"]
UNPACK = {"finder.tar.gz": ["tar", "-xzf"], "finder.tgz": ["tar", "-xf"], "finder.zip": ["unzip", "-q"]}


@pytest.fixture
def here(tmp_path_factory, tmp_path, monkeypatch):
    """The current folder, with run/, evaluation/, gates.jsonl, CITATION.cff and LICENSE."""
    copy_of(frozen_toys.bundle(tmp_path_factory), tmp_path, "run", "evaluation")
    write_credit(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A folder with out/, the frozen model with its citation and licence."""
    folder = tmp_path_factory.mktemp("packed")
    made = frozen_toys.bundle(tmp_path_factory)
    citation, licence = write_credit(folder)
    words = [
        "freeze",
        made / "run",
        folder / "out",
        "--evaluation",
        made / "evaluation",
        "--gates",
        made / "gates.jsonl",
    ]
    assert main([*map(str, words), "--citation", str(citation), "--licence", str(licence)]) == 0
    return folder / "out"


def test_the_folder_holds_both_files_and_they_are_sealed_with_the_rest(packed):
    assert (packed / "CITATION.cff").read_text() == CFF
    assert failed(packed) == {}
    sums = layout.parse_sums((packed / "SHA256SUMS").read_text())
    assert {"CITATION.cff", "LICENSE"} <= set(sums)


@pytest.mark.parametrize("name", ["CITATION.cff", "LICENSE"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_citation_or_licence_that_was_changed_or_left_out_is_seen(packed, tmp_path, name, how):
    folder = tmp_path / "copy"
    shutil.copytree(packed, folder)
    (folder / name).chmod(0o644)
    (folder / name).write_text("All rights reserved.\n") if how == "changed" else (folder / name).unlink()
    seen = failed(folder)
    assert {name} in seen.values(), seen


def test_the_card_names_the_licence_as_the_hub_knows_it(packed):
    text = (packed / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "cc-by-4.0"
    assert "under the licence CC-BY-4.0" in text


@pytest.mark.parametrize("name", UNPACK)
def test_the_archive_unpacks_with_the_usual_tools_and_verifies(here, capfd, name):
    if shutil.which(UNPACK[name][0]) is None:
        pytest.skip(f"{UNPACK[name][0]} is not installed")
    assert main([*FREEZE, *CREDIT, "--archive", name]) == 0
    assert said(capfd)[0][0]["archive"] == name
    (here / "there").mkdir()
    subprocess.run([*UNPACK[name], here / name], cwd=here / "there", check=True)
    assert [path.name for path in (here / "there").iterdir()] == ["finder"]
    assert content(here / "there" / "finder") == content(here / "out")
    assert stat.S_IMODE((here / "there" / "finder" / "LICENSE").stat().st_mode) == 0o444
    assert main(["verify", "there/finder", "--device", "cpu"]) == 0


def test_zip_is_read_by_other_programs(packed, tmp_path):
    (tmp_path / "f.zip").touch()
    archive.pack(packed, tmp_path / "f.zip", "f.zip")
    with zipfile.ZipFile(tmp_path / "f.zip") as found:
        assert found.testzip() is None
        assert sorted(found.namelist()) == [f"f/{name}" for name in sorted(content(packed))]


@pytest.mark.parametrize("name", ["f.tar.gz", "f.zip"])
def test_the_same_model_is_the_same_archive_whenever_and_wherever_it_is_made(packed, tmp_path, name):
    shutil.copytree(packed, tmp_path / "other", copy_function=shutil.copyfile)  # other dates and modes
    for folder, part in ((packed, "a"), (tmp_path / "other", "b")):
        (tmp_path / part).touch()
        archive.pack(folder, tmp_path / part, f"elsewhere/{name}")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


REFUSED = {
    "an archive without credit": (["--archive", "f.zip"], "only the makers of a model know whom to cite"),
    "a citation without licence": (["--citation", "CITATION.cff"], "add --citation CITATION.cff and --licence LICENSE"),
    "another kind": ([*CREDIT, "--archive", "f.rar"], "use .tar.gz, .tgz, .zip"),
    "an archive without a name": ([*CREDIT, "--archive", ".zip"], "it would unpack to ''"),
    "an archive that is there": ([*CREDIT, "--archive", "there.zip"], "there.zip exists"),
    "an archive in no folder": ([*CREDIT, "--archive", "no/f.zip"], "folder no/ does not exist"),
    "no such citation": (["--citation", "no.cff", "--licence", "LICENSE"], "no.cff: cannot be read"),
    "no such licence": (["--citation", "CITATION.cff", "--licence", "no"], "no: cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_passed_on_is_refused_and_nothing_is_made(here, capfd, case):
    options, message = REFUSED[case]
    (here / "there.zip").write_text("mine")
    before = sorted(here.iterdir())
    assert main([*FREEZE, *options]) == 2
    assert message in said(capfd)[1]
    assert sorted(here.iterdir()) == before
    assert (here / "there.zip").read_text() == "mine"


def test_an_archive_in_the_folder_that_is_replaced_is_refused(here, capfd):
    (here / "out").mkdir()
    assert main([*FREEZE, *CREDIT, "--archive", "out/f.zip", "--overwrite"]) == 2
    assert "out/f.zip lies in the folder that it would hold" in capfd.readouterr().err
    assert content(here / "out") == {}


CITATIONS = {
    "no YAML": ("a: [", "CITATION.cff: "),
    "a list": ("- a", "CITATION.cff: "),
    "a key misspelt": (CFF.replace("title", "titel"), "did you mean 'title'"),
    "nothing": ("", "key 'cff-version' is missing"),
    "no authors": (CFF.replace("authors", "keywords"), "key 'authors' is missing"),
    "no licence": (CFF.replace("license: CC-BY-4.0", ""), "key 'license' is missing"),
    "two licences": (CFF.replace("CC-BY-4.0", "[MIT, CC-BY-4.0]"), "license is not one SPDX identifier"),
    "too long": (CFF + "#" * (1 << 20), "longer than any citation"),
    "no text": (b"\xff\xfe\x00", "cannot be read"),
}


@pytest.mark.parametrize("case", CITATIONS)
def test_a_citation_that_says_too_little_is_refused_in_a_sentence(tmp_path, case):
    from lensctl.freeze.credit import read_credit

    text, message = CITATIONS[case]
    citation, licence = write_credit(tmp_path)
    citation.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_credit(citation, licence)
    write_credit(tmp_path, licence=" \n")
    with pytest.raises(InputError, match="the licence is empty"):
        read_credit(citation, licence)


def test_a_rerun_with_overwrite_makes_the_archive_later_and_leaves_the_model_as_it_was(here):
    assert main([*FREEZE, *CREDIT]) == 0
    before = content(here / "out")
    assert main([*FREEZE, *CREDIT, "--archive", "f.zip", "--overwrite"]) == 0
    assert content(here / "out") == before
    assert (here / "f.zip").is_file()


def test_verify_says_how_to_unpack_an_archive(tmp_path, capfd):
    (tmp_path / "f.tar.gz").touch()
    assert main(["verify", str(tmp_path / "f.tar.gz")]) == 2
    assert "unpack it with `tar -xf f.tar.gz`, and verify its folder" in capfd.readouterr().err


def test_what_the_hub_adds_to_a_folder_is_no_change_and_anything_else_is(packed, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(packed, folder)
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "README.md.metadata").write_text("x")
    (folder / ".gitattributes").write_text("*.pt2 filter=lfs\n")
    assert failed(folder) == {}
    (folder / ".hidden").write_text("x")
    assert failed(folder) == {"no file is extra": {".hidden"}}
    (folder / ".hidden").unlink()
    (folder / ".gitattributes").unlink()
    (folder / ".gitattributes").symlink_to("README.md")
    assert failed(folder) == {"neither links nor empty folders": {".gitattributes"}}


def test_a_signed_model_from_the_hub_is_still_its_signers(here, capfd):
    private, public = frozen_toys.key_pair(here)
    assert main([*FREEZE, *CREDIT, "--sign", str(private)]) == 0
    (here / "out" / ".gitattributes").write_text("*.pt2 filter=lfs\n")
    (here / "out" / ".cache").mkdir()
    (here / "out" / ".cache" / "x").write_text("x")
    assert main(["verify", "out", "--key", str(public), "--device", "cpu"]) == 0
    key = signature.public_key(public)
    (here / "out" / "LICENSE").chmod(0o644)
    (here / "out" / "LICENSE").write_text("All rights reserved.\n")
    assert "LICENSE" in failed(here / "out", key=key)["signature"]
