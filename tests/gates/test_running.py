"""`gate` from Python: one path or several, and its checks as the lines that `freeze` takes."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from lensctl.gates import gate
from lensctl.rules.errors import InputError
from tests.toys.manifests import toy_manifest, with_rows


@pytest.fixture
def good(tmp_path):
    pq.write_table(toy_manifest(), tmp_path / "good.parquet")
    return tmp_path / "good.parquet"


def test_one_path_is_as_good_as_a_list_of_one(good):
    assert gate("weights", str(good)) == gate("weights", good) == gate("weights", [good])
    with pytest.raises(InputError, match="no input given"):
        gate("weights", [])


def test_output_keeps_the_checks_of_a_gate_that_says_no_as_well(good, tmp_path, lensctl):
    pq.write_table(with_rows(toy_manifest(), [1], sample_weight=2.0), tmp_path / "bad.parquet")
    for path in (good, tmp_path / "bad.parquet"):
        receipt = gate("weights,splits", path, output=tmp_path / "lines.jsonl", overwrite=True)
        assert receipt["passed"] == (path is good)
        lines = (tmp_path / "lines.jsonl").read_text()
        assert [json.loads(line) for line in lines.splitlines()] == receipt["checks"]
        assert lines == lensctl("gate", "weights,splits", path.name).stdout


def test_an_output_that_exists_is_refused_and_one_of_a_gate_that_cannot_judge_is_not_made(good, tmp_path):
    kept = tmp_path / "kept.jsonl"
    kept.write_text("kept\n")
    with pytest.raises(InputError, match=r"kept\.jsonl"):
        gate("weights", good, output=kept)
    assert kept.read_text() == "kept\n"
    with pytest.raises(InputError):
        gate("weights", tmp_path / "none.parquet", output=tmp_path / "new.jsonl")
    assert not (tmp_path / "new.jsonl").exists()
