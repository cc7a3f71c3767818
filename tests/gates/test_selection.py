"""`gate selection`: reached, missed or not told by the lenses of tier A and B; sets of them hold 0."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from scipy.special import stdtrit

from lensctl.io.provenance import digests
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from tests.toys.closures import make
from tests.toys.judging import failed, judge

DECIDES = "fpr=0.01: recall less mean p_det of A+B"
HALF = "fpr=0.01: recall less mean p_det of obs_snr_g below its median"


def named(checks):
    return {check.check: check for check in checks}


def test_a_closure_inside_the_limit_is_reached_and_says_what_the_lenses_share(tmp_path):
    checks = judge("selection", make(tmp_path / "s"))
    assert failed(checks) == []
    decided = named(checks)[DECIDES]
    assert decided.told
    assert decided.note.startswith("reached; recall 0.600, p_det 0.590, 4 outside the support; known lenses were found")
    assert "share one test split" in decided.note
    half = stdtrit(299, 0.975) * 0.03
    assert (decided.low, decided.high) == (pytest.approx(0.01 - half), pytest.approx(0.01 + half))


@pytest.mark.parametrize(
    ("difference", "error", "word", "passed", "told"),
    [
        (0.05, 0.02, "reached", True, True),
        (0.05, 0.03, "not told", True, False),
        (-0.30, 0.05, "missed", False, True),
        (0.20, 0.02, "missed", False, True),
        (0.12, 0.02, "not told", True, False),
    ],
)
def test_lenses_of_tier_a_and_b_decide(tmp_path, difference, error, word, passed, told):
    others = {name: {"difference": 0.0} for name in ("B", "obs_snr_g below its median", "obs_snr_g above its median")}
    folder = make(tmp_path / "s", **others, **{"A+B": {"difference": difference, "standard_error": error}})
    decided = named(judge("selection", folder))[DECIDES]
    assert decided.note.startswith(word)
    assert (decided.passed, decided.told) == (passed, told)


def test_few_lenses_do_not_tell_and_none_fail(tmp_path):
    few = named(judge("selection", make(tmp_path / "few", **{"A+B": {"n": 99, "difference": -0.5}})))[DECIDES]
    assert (few.passed, few.told) == (True, False)
    assert "99 lenses, fewer than 100" in few.note
    none = judge("selection", make(tmp_path / "none", **{"A+B": {"n": 0, "difference": None}}))
    assert failed(none) == [DECIDES]


def test_a_set_of_lenses_that_does_not_hold_0_fails_at_a_level_for_all_sets(tmp_path):
    at_two_and_a_half = {"difference": 0.075, "standard_error": 0.03}  # beside 0 alone, not among three
    name = "obs_snr_g below its median"
    assert failed(judge("selection", make(tmp_path / "one", **{name: {**at_two_and_a_half, "difference": 0.07}}))) == []
    assert failed(judge("selection", make(tmp_path / "two", **{name: at_two_and_a_half}))) == [HALF]


def test_tier_a_alone_is_reported_and_not_judged(tmp_path):
    assert failed(judge("selection", make(tmp_path / "s", A={"difference": 0.4}))) == []


def test_thresholds_that_are_not_the_frozen_ones_fail(tmp_path):
    assert failed(judge("selection", make(tmp_path / "s", exploratory=True))) == ["thresholds are the frozen ones"]


def test_a_folder_that_is_none_or_was_changed_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        judge("selection", tmp_path)
    folder = make(tmp_path / "bad")
    (folder / "selection.json").write_text("[]")
    with pytest.raises(InputError, match="is no selection function"):
        judge("selection", folder)
    folder = make(tmp_path / "without")
    (folder / "selection.json").write_text(json.dumps({"exploratory": False, "tables": {}}))
    with pytest.raises(InputError, match="fitted without real lenses"):
        judge("selection", folder)
    folder = make(tmp_path / "short")
    table = pa.Table.from_pylist([{"lenses": "A+B"}])
    write_table(table, str(folder / "tables" / "closure.parquet"), overwrite=True)
    facts = {"exploratory": False, "tables": {"closure": {"digest": digests.of_table(table)}}}
    (folder / "selection.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="are missing"):
        judge("selection", folder)
    (folder / "selection.json").write_text(json.dumps({"tables": facts["tables"]}))
    with pytest.raises(InputError, match="is no selection function"):
        judge("selection", folder)
    folder = make(tmp_path / "changed")
    path = folder / "tables" / "closure.parquet"
    other = make(tmp_path / "other", A={"n": 7}) / "tables" / "closure.parquet"
    path.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match="was changed since the fit"):
        judge("selection", folder)
