"""A selection function, and one attached to a frozen model, say what they are."""

from __future__ import annotations

import json
import shutil

import pytest

from lensctl.rules.errors import InputError
from lensctl.show.identify import identify
from tests.toys import attaching as toys


@pytest.fixture
def out(tmp_path_factory, tmp_path):
    toys.copy_of(toys.attached(tmp_path_factory), tmp_path)
    for path in (tmp_path / "out").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / "out"


def test_an_attachment_says_its_level_and_names_both_by_digest(out):
    facts = identify(str(out))
    told = json.loads((out / "attachment.json").read_text())
    assert facts.kind == "selection function of a frozen model"
    assert (facts.values["level"], facts.values["signed"], facts.values["mock"]) == ("selection", False, False)
    for name in ("model_digest", "frozen_digest", "selection_digest"):
        assert facts.values[name] == told[name]
    assert facts.values["files"] == sum(path.is_file() for path in out.rglob("*"))
    thresholds, checks = facts.listings
    assert [row[0] for row in thresholds.rows] == ["p=0.5"]
    assert len(checks.rows) == toys.LINES
    assert [step.command for step in facts.chain][-2:] == ["selection fit", "selection attach"]
    json.dumps(facts.as_json(), allow_nan=False)


def test_a_selection_function_is_told_by_its_digest(out):
    facts = identify(str(out / "selection"))
    assert facts.kind == "selection function"
    assert facts.values["digest"] == identify(str(out)).values["selection_digest"]
    assert facts.details["tables"] == sorted(toys.TABLES)


@pytest.mark.parametrize("name", ["attachment.json", "selection/selection.json"])
@pytest.mark.parametrize("text", ["{", "3", '{"thresholds": 3}', '{"provenance": {"a": 1}}'])
def test_facts_of_another_shape_are_a_sentence(out, name, text):
    (out / name).write_text(text)
    with pytest.raises(InputError):
        identify(str((out / name).parent))


def test_lines_that_are_none_are_left_out(out):
    (out / "gates.jsonl").write_text("none")
    shutil.rmtree(out / "selection")
    assert len(identify(str(out)).listings) == 1
