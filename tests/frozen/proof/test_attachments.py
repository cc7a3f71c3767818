"""An attachment: a flipped bit, a file more or less, a level it has not, another frozen model, is found and told."""

from __future__ import annotations

import json
import shutil

import pytest

from lensctl.frozen import layout
from lensctl.frozen.proof.attachments import is_attachment, prove_attachment
from lensctl.io.provenance import digests
from lensctl.rules.errors import InputError
from lensctl.verify import verify
from tests.toys import attaching as toys
from tests.toys.frozen import content, flip, random_flips

EITHER = {layout.SUMS, layout.ATTACHMENT}
"""What is named beside the touched file where nothing third tells which of two is wrong."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toys.bundle(tmp_path_factory)


@pytest.fixture
def out(tmp_path_factory, tmp_path):
    """An attachment that may be spoiled."""
    toys.copy_of(toys.attached(tmp_path_factory), tmp_path)
    for path in (tmp_path / "out").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / "out"


def failed(out, **options):
    return {check.check: set(check.offenders) for check in prove_attachment(out, device="cpu", **options)
            if not check.passed}  # fmt: skip


def reseal(out):
    """Make both lists anew, so that only what the files say is wrong."""
    facts = json.loads((out / layout.ATTACHMENT).read_text())
    facts["files"] = {name: layout.sha256(out / name) for name in content(out) if name not in (*EITHER,)}
    (out / layout.ATTACHMENT).write_text(json.dumps(facts))
    (out / layout.SUMS).write_text(layout.sums_of(out, sorted(set(content(out)) - {layout.SUMS})))


def change(out, **changes):
    facts = json.loads((out / layout.ATTACHMENT).read_text())
    (out / layout.ATTACHMENT).write_text(json.dumps({**facts, **changes}))
    reseal(out)


def test_all_is_well_and_the_level_is_told(out, made):
    checks = list(prove_attachment(out, device="cpu"))
    assert all(check.passed and check.input_digest == digests.of_file(out / layout.SUMS) for check in checks)
    (level,) = [check for check in checks if check.check == "level"]
    assert (level.value, level.limit, level.n) == ("selection", "selection", toys.LINES)
    last = checks[-1]
    assert (last.check, last.judged) == ("the frozen model is the one named", False)
    assert last.note.startswith("not compared: frozen, weights sha256:")
    compared = list(prove_attachment(out, device="cpu", frozen=made / "frozen"))[-1]
    assert (compared.passed, compared.judged, compared.value) == (True, True, last.value)


def test_one_flipped_bit_anywhere_is_found_and_its_file_named(out):
    for seed, (name, data) in enumerate(content(out).items()):
        for place, bit in random_flips(len(data), 1, seed):
            before = (out / name).read_bytes()
            flip(out / name, place, bit)
            offenders = set().union(*failed(out).values())
            (out / name).write_bytes(before)
            assert name in offenders, (name, place, bit)
            assert offenders <= {name, *EITHER}, (name, place, bit, offenders)


def test_a_file_more_or_less_and_a_link_are_named(out):
    (out / "selection" / "more").write_text("")
    assert failed(out) == {"no file is extra": {"selection/more"}}
    (out / "selection" / "more").unlink()
    (out / "selection" / "evaluate.py").unlink()
    assert failed(out) == {"no file is missing": {"selection/evaluate.py"}}
    (out / "selection" / "evaluate.py").symlink_to(out / "gates.jsonl")
    assert "selection/evaluate.py" in failed(out)["neither links nor empty folders"]
    (out / layout.SUMS).unlink()
    assert "SHA256SUMS can be read" in failed(out)


NAMES = "frozen model, selection function and steps name each other"
TABLES = "tables and files are those of the fit"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"level": "publication"}, "format"),
        ({"kind": "frozen"}, "format"),
        ({"format": 2}, "format"),
        ({"frozen_digest": "sha256:1"}, "frozen model"),
        ({"model_digest": "sha256:1"}, "weights"),
        ({"selection_digest": "sha256:1"}, "selection function"),
        ({"thresholds": {"p=0.5": 3.0}}, "thresholds"),
        ({"mock": True}, "mock"),
    ],
)
def test_facts_that_do_not_fit_together_are_named_though_both_lists_agree(out, changes, named):
    change(out, **changes)
    assert failed(out) == {NAMES: {named}}


def test_another_selection_function_in_its_place_is_found(out):
    path = out / "selection" / "selection.json"
    path.write_text(path.read_text() + " ")
    reseal(out)
    found = failed(out)
    assert found[NAMES] == {"selection function"}
    assert any("judged something else" in text for text in found["level"])


def test_other_tables_in_its_place_are_found(out):
    tables = out / "selection" / "tables"
    shutil.copy(tables / "hosts.parquet", tables / "draws.parquet")
    (tables / "cells.parquet").write_bytes(b"PAR1")
    shutil.copy(tables / "hosts.parquet", tables / "mine.parquet")
    (out / "selection" / "evaluate.py").write_text("MODEL = {1}\n")
    reseal(out)
    assert failed(out) == {TABLES: {*(f"tables/{name}.parquet" for name in ("draws", "cells", "mine")), "evaluate.py"}}


@pytest.mark.parametrize(
    ("pick", "changes", "told"),
    [
        ("A+B", {"told": False}, "selection: not told"),
        ("A+B", {"passed": False}, "selection: not passed"),
        ("P2", {"passed": False}, "realism: not passed"),
        ("P2", {"limit": "interval not above 1"}, "realism: judged by another limit"),
        ("A+B", {"gate": "splits"}, "selection: there is no line of p=0.5"),
    ],
)
def test_a_level_that_the_gates_do_not_give_is_missed(out, pick, changes, told):
    lines = [{**line, **changes} if pick in line["check"] else line for line in toys.lines_of(out)]
    toys.write_lines(out, lines)
    reseal(out)
    ((offender,),) = (failed(out)["level"],)
    assert offender.startswith(told)


def test_an_exploratory_function_has_no_level(out):
    toys.change_facts(out, exploratory=True)
    reseal(out)
    assert "exploratory thresholds" in failed(out)["level"]


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"files": 3}', '{"provenance": []}'])
def test_facts_of_another_shape_fail_and_are_no_traceback(out, text):
    (out / layout.ATTACHMENT).write_text(text)
    (out / layout.SUMS).write_text(layout.sums_of(out, sorted(set(content(out)) - {layout.SUMS})))
    assert failed(out)
    assert not verify(out, device="cpu")["passed"]


def test_another_frozen_model_or_one_that_does_not_verify_is_not_the_one_named(out, made, tmp_path, tmp_path_factory):
    from tests.toys.freezing import signed_bundle

    name = "the frozen model is the one named"
    other = signed_bundle(tmp_path_factory) / "frozen"  # the same weights, frozen otherwise
    assert failed(out, frozen=other) == {name: {"frozen"}}
    shutil.copytree(made / "frozen", tmp_path / "touched")
    flip(tmp_path / "touched" / "thresholds.json", 100, 1)
    assert failed(out, frozen=tmp_path / "touched") == {name: {"no file was touched"}}
    with pytest.raises(InputError, match="nowhere: no such folder"):
        failed(out, frozen=tmp_path / "nowhere")


def test_an_attachment_is_known_by_its_facts(out, made):
    assert is_attachment(out)
    assert not is_attachment(made / "frozen")
    with pytest.raises(InputError, match="frozen: is no attachment, so that there is nothing to compare"):
        verify(made / "frozen", frozen=made / "frozen")
    (out / layout.ATTACHMENT).unlink()
    assert not verify(out, device="cpu")["passed"]
