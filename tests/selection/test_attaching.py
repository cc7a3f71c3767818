"""`selection attach`: binds a selection function to its model by digest, or says in a sentence why not."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from lensctl.frozen import signature
from lensctl.io.provenance import digests
from lensctl.rules.errors import InputError
from lensctl.selection import attach, attaching
from lensctl.verify import verify
from tests.toys import attaching as toys
from tests.toys import frozen as frozen_toy

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toys.bundle(tmp_path_factory)


@pytest.fixture
def folder(made, tmp_path):
    """A bundle that may be spoiled."""
    return toys.copy_of(made, tmp_path)


def attached(folder, **options):
    gates = options.pop("gates", folder / "gates.jsonl")
    return attach(folder / "frozen", folder / "selection", folder / "out", gates=gates, **options)


def test_the_folder_names_both_by_digest_and_verifies(folder):
    before = frozen_toy.content(folder / "frozen") | frozen_toy.content(folder / "selection")
    told = attached(folder)
    facts = json.loads((folder / "out" / "attachment.json").read_text())
    frozen = json.loads((folder / "frozen" / "frozen.json").read_text())
    assert facts["level"] == told["level"] == "selection"
    assert facts["model_digest"] == told["model_digest"] == frozen["model_digest"]
    assert facts["frozen_digest"] == digests.of_file(folder / "frozen" / "SHA256SUMS")
    assert facts["selection_digest"] == digests.of_file(folder / "selection" / "selection.json")
    assert (facts["kind"], facts["format"], facts["mock"], told["signed"]) == ("attachment", 1, False, False)
    assert facts["thresholds"] == {"p=0.5": pytest.approx(0.0, abs=9)}
    assert [step["command"] for step in facts["provenance"]][-2:] == ["selection fit", "selection attach"]
    copied = frozen_toy.content(folder / "out" / "selection")
    assert copied == frozen_toy.content(folder / "selection")
    names = set(frozen_toy.content(folder / "out"))
    assert names == {f"selection/{name}" for name in copied} | {"attachment.json", "gates.jsonl", "SHA256SUMS"}
    assert set(facts["files"]) == names - {"attachment.json", "SHA256SUMS"}
    assert verify(folder / "out", device="cpu", frozen=folder / "frozen")["passed"]
    assert frozen_toy.content(folder / "frozen") | frozen_toy.content(folder / "selection") == before
    assert not any((folder / "out" / name).stat().st_mode & 0o222 for name in names)


def test_the_same_inputs_give_the_same_bytes_and_hold_no_path(folder, tmp_path_factory):
    attached(folder)
    other = toys.copy_of(folder, tmp_path_factory.mktemp("other"))
    shutil.rmtree(other / "out")
    attached(other)
    assert frozen_toy.content(folder / "out") == frozen_toy.content(other / "out")
    assert not [name for name, data in frozen_toy.content(folder / "out").items() if str(folder).encode() in data]


def test_lines_of_two_files_do_as_well(folder):
    lines = toys.lines_of(folder)
    for name in ("realism", "selection"):
        own = [line for line in lines if line["gate"] == name]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in own))
    attached(folder, gates=[folder / "realism.jsonl", folder / "selection.jsonl"])
    assert verify(folder / "out", device="cpu")["passed"]


def test_it_is_signed_and_the_frozen_model_must_be_signed_where_keys_are_given(folder):
    private, public = frozen_toy.key_pair(folder)
    with pytest.raises(InputError, match=r"frozen: verification failed at 'signature' \(not signed\)"):
        attached(folder, key=public)
    assert attached(folder, sign=signature.private_key(private))["signed"]
    checks = {check["check"]: check for check in verify(folder / "out", key=public, device="cpu")["checks"]}
    assert (checks["signature"]["passed"], checks["signature"]["value"]) == (True, "holds")
    (folder / "else").mkdir()
    _, other = frozen_toy.key_pair(folder / "else")
    assert not verify(folder / "out", key=other, device="cpu")["passed"]


def touch_model(folder):
    frozen_toy.flip(folder / "frozen" / "thresholds.json", 100, 1)


def run_for_model(folder):
    (folder / "frozen" / "frozen.json").unlink()


def other_model(folder):
    toys.change_facts(folder, model_digest="sha256:" + "0" * 64)


def exploratory(folder):
    toys.change_facts(folder, exploratory=True)


def other_threshold(folder):
    facts = json.loads((folder / "selection" / "selection.json").read_text())
    toys.change_facts(folder, thresholds=[{**facts["thresholds"][0], "logit": 9.5}])


def own_threshold(folder):
    facts = json.loads((folder / "selection" / "selection.json").read_text())
    toys.change_facts(folder, thresholds=[{**facts["thresholds"][0], "name": "logit=3"}])


def changed_facts(folder):
    path = folder / "selection" / "selection.json"
    path.write_text(path.read_text() + " ")


def no_facts(folder):
    (folder / "selection" / "selection.json").write_text("[1")


def no_provenance(folder):
    toys.change_facts(folder, provenance=[{"id": "1"}])


def changed_table(folder):
    tables = folder / "selection" / "tables"
    shutil.copy(tables / "hosts.parquet", tables / "draws.parquet")


def no_table(folder):
    (folder / "selection" / "tables" / "cells.parquet").unlink()


def cut_table(folder):
    path = folder / "selection" / "tables" / "real.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def more_tables(folder):
    tables = folder / "selection" / "tables"
    shutil.copy(tables / "hosts.parquet", tables / "mine.parquet")


def other_evaluate_file(folder):
    (folder / "selection" / "evaluate.py").write_text("MODEL = {1}\n")


def a_link(folder):
    (folder / "selection" / "more").symlink_to(folder / "frozen")


def a_name_of_two_lines(folder):
    (folder / "selection" / "a\nb").write_text("")


def no_folder(folder):
    shutil.rmtree(folder / "selection")


def no_gates(folder):
    (folder / "gates.jsonl").unlink()


def no_lines(folder):
    (folder / "gates.jsonl").write_text("\n")


def changed_lines(folder, pick=lambda line: True, **changes):
    toys.write_lines(folder, [{**line, **changes} if pick(line) else line for line in toys.lines_of(folder)])


def one_of_something_else(folder):
    changed_lines(folder, lambda line: line["check"].startswith("P2"), input_digest="sha256:" + "1" * 64)


def old_lines(folder):
    changed_lines(folder, gate_version=1)


def without(name):
    def spoil(folder):
        toys.write_lines(folder, [line for line in toys.lines_of(folder) if line["gate"] != name])

    return spoil


def without_closure(folder):
    toys.write_lines(folder, [line for line in toys.lines_of(folder) if "A+B" not in line["check"]])


def without_arcs(folder):
    toys.write_lines(folder, [line for line in toys.lines_of(folder) if not line["check"].startswith("P2")])


def not_told(folder):
    changed_lines(folder, lambda line: "A+B" in line["check"], told=False)


def few_lenses(folder):
    changed_lines(folder, lambda line: "A+B" in line["check"], n=60)


def missed(folder):
    changed_lines(folder, lambda line: "A+B" in line["check"], passed=False)


def unreal(folder):
    changed_lines(folder, lambda line: line["check"].startswith("P1: AUC"), passed=False)


def lenient(folder):
    changed_lines(folder, lambda line: "A+B" in line["check"], limit="95 % interval inside +-0.4")


def lenient_realism(folder):
    changed_lines(folder, lambda line: line["check"].startswith("P2"), limit="interval not above 0.99")


REFUSED = {
    touch_model: r"frozen: verification failed at 'no file was touched' \(thresholds.json\)",
    run_for_model: r"frozen: not a frozen model",
    other_model: r"selection: was fitted to another model \(sha256:000000000000…\), not to frozen \(sha256:",
    exploratory: r"selection: is exploratory: a threshold was chosen after the model was frozen",
    other_threshold: r"selection: its threshold p=0.5 is logit 9.5, but that of frozen is",
    own_threshold: r"selection: its threshold logit=3 is logit .*, but that of frozen is none",
    changed_facts: r"gates.jsonl: 11 of 11 lines are not of .*selection, such as gate realism",
    no_facts: r"selection/selection.json: is no selection function",
    no_provenance: r"selection/selection.json: .*provenance",
    changed_table: r"selection/tables/draws.parquet: was changed since the fit",
    no_table: r"selection/tables/cells.parquet: no such file",
    cut_table: r"selection/tables/real.parquet: cannot be read as a table",
    more_tables: r"selection/tables/mine.parquet: was changed since the fit, or is none of its files",
    other_evaluate_file: r"selection/evaluate.py: was changed since the fit, or is none of its files",
    a_link: r"selection: more is a link or an empty folder",
    a_name_of_two_lines: r"selection: 'a\\nb' is a name that SHA256SUMS cannot hold",
    no_folder: r"selection: no such folder",
    no_gates: r"gates.jsonl: cannot be read",
    no_lines: r"gates.jsonl: no gate results in this file",
    one_of_something_else: r"gates.jsonl: 1 of 11 lines are not of .*selection, such as gate realism",
    old_lines: r"gates judge more than when these lines were written: selection, realism",
    without("realism"): r"has not the level selection: realism: there is no line of it$",
    without("selection"): r"has not the level selection: selection: there is no line of it$",
    without_closure: r"selection: there is no line of p=0.5: recall less mean p_det of A\+B$",
    without_arcs: r"realism: there is no line of P2: AUC of arcs, matched$",
    not_told: r"selection: not told \(p=0.5: recall less mean p_det of A\+B\)$",
    few_lenses: r"selection: not told \(p=0.5: recall less mean p_det of A\+B: 60 lenses, fewer than 100\)$",
    missed: r"selection: not passed \(p=0.5: recall less mean p_det of A\+B\)$",
    unreal: r"realism: not passed \(P1: AUC of artefacts, matched\)$",
    lenient: r"selection: judged by another limit \(p=0.5: .* A\+B: 95 % interval inside \+-0.4\)$",
    lenient_realism: r"realism: judged by another limit \(P2: AUC of arcs, matched: interval not above 0.99\)$",
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__qualname__.split(".")[0])
def test_what_is_refused_is_told_in_a_sentence_and_nothing_is_written(folder, spoil):
    spoil(folder)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(InputError) as told:
        attached(folder)
    sentence = str(told.value)
    assert re.search(REFUSED[spoil], sentence), sentence
    assert "\n" not in sentence
    assert told.value.fix
    assert ".part" not in sentence
    assert sorted(path.name for path in folder.iterdir()) == before


def test_an_existing_folder_is_kept_unless_told_and_none_is_made_within_the_selection(folder):
    (folder / "out").mkdir()
    (folder / "out" / "mine").write_text("kept")
    with pytest.raises(InputError, match="out exists"):
        attached(folder)
    assert frozen_toy.content(folder / "out") == {"mine": b"kept"}
    attached(folder, overwrite=True)
    attached(folder, overwrite=True)  # read-only files do not stand in the way
    assert verify(folder / "out", device="cpu")["passed"]
    inner = folder / "selection" / "out"
    with pytest.raises(InputError, match="lies in the folder that is attached"):
        attach(folder / "frozen", folder / "selection", inner, gates=folder / "gates.jsonl")
    assert not inner.exists()


def test_what_is_checked_is_the_copy(folder, monkeypatch):
    """A table that changes once it was copied changes nothing; one that changes before is seen."""
    plain = attaching.refuse_other

    def meanwhile(found, model):
        (folder / "selection" / "tables" / "hosts.parquet").write_bytes(b"")
        plain(found, model)

    monkeypatch.setattr(attaching, "refuse_other", meanwhile)
    attached(folder)
    assert (folder / "out" / "selection" / "tables" / "hosts.parquet").stat().st_size > 0
    assert verify(folder / "out", device="cpu")["passed"]
