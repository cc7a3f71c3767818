"""`lensctl selection fit` as people call it: the example of its help, refused overwrite, bad options."""

from __future__ import annotations

import re

import pytest

from lensctl.cli.main import main
from lensctl.io.tables.files import write_table
from tests.toys import frozen as frozen_toys
from tests.toys.freezing import copy_of, said
from tests.toys.frozen import content
from tests.toys.measured_injections import Toy

pytestmark = pytest.mark.usefixtures("tiny_network")

FIT = ["selection", "fit", "injections.parquet", "selection", "--hosts", "hosts.scores.parquet", "--frozen", "frozen"]
QUICK = ["--rounds", "100", "--threshold", "p=0.5"]


@pytest.fixture
def folder(tmp_path_factory, tmp_path, monkeypatch):
    """The current folder, with frozen/ and the tables that the example names."""
    copy_of(frozen_toys.bundle(tmp_path_factory), tmp_path, "frozen")
    toy = Toy(tmp_path / "frozen", hosts=300)
    write_table(toy.stamped(toy.injection_columns()), str(tmp_path / "injections.parquet"))
    write_table(toy.stamped(toy.host_columns()), str(tmp_path / "hosts.scores.parquet"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_of_the_help_works_and_an_existing_folder_is_kept(folder, capfd):
    assert main(["selection", "fit", "--help"]) == 0
    (example,) = re.findall(r"Example: lensctl (.*)", re.sub(r"\\\n\s*", "", capfd.readouterr().out))
    assert example.split() == FIT
    assert main([*example.split(), *QUICK]) == 0
    (line,), err = said(capfd)
    assert (line["command"], line["action"], line["output"]) == ("selection", "fit", "selection")
    assert (line["injections"], line["hosts"], line["exploratory"]) == (1500, 300, False)
    assert [point["name"] for point in line["thresholds"]] == ["p=0.5"]
    assert "is not a completeness" in err
    first = content(folder / "selection")
    assert main([*FIT, *QUICK]) == 2
    assert "selection exists" in said(capfd)[1]
    assert content(folder / "selection") == first


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (FIT[:6], "Missing option '--frozen'"),
        (FIT[:4], "Missing option '--"),
        ([*FIT[:7], "nowhere"], "nowhere: not a frozen model"),
        ([*FIT[:2], "nowhere.parquet", *FIT[3:]], "nowhere.parquet"),
        ([*FIT, "--rounds", "5"], "--rounds"),
        ([*FIT, "--threshold", "fpr=0.5"], "frozen has no threshold 'fpr=0.5'"),
        ([*FIT, "--threshold", "logit=3"], "--threshold logit=3 is none of the frozen ones"),
        ([*FIT, "--real", "nowhere.parquet"], "nowhere.parquet"),
        ([*FIT, "--control", "injections.parquet"], "its rows are of control none"),
        ([*FIT, "--key", "nowhere.pub"], "nowhere.pub: cannot be read"),
        ([*FIT[:3], "-", *FIT[4:]], "this output cannot go through a pipe"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_exit_2_and_nothing_written(folder, capfd, line, message):
    before = sorted(folder.iterdir())
    assert main(line) == 2
    out, err = said(capfd)
    assert (out, message in err, "Traceback" in err) == ([], True, False), err
    assert err.startswith("error: ")
    assert sorted(folder.iterdir()) == before
