"""The level `selection`: closure reached at every threshold, realism not missed, by the level's own limits."""

from __future__ import annotations

import pytest

from lensctl.frozen.selection_level import AUC, BRIGHT, CENTRED, LIMITS, closure_limit, closure_of, shortfalls
from lensctl.rules.checks import Check, meets
from lensctl.stats.intervals import Estimate
from tests.toys import selection_tables
from tests.toys.judging import judge

DIGEST, NAMES = "sha256:1", ("fpr=0.01", "fpr=0.001")


def lines(**changes):
    checks = [Check("selection", closure_of(name), True, 0.01, limit=closure_limit(0.1, 0.95), n=300) for name in NAMES]
    checks += [Check("realism", check, True, 0.6, limit=limit, n=300) for check, limit in LIMITS.items()]
    return [{**check.of(DIGEST).as_dict(), **changes.get(check.check, {})} for check in checks]


def test_lines_that_all_pass_give_the_level():
    assert shortfalls(lines(), DIGEST, NAMES) == []


def test_a_threshold_without_a_closure_does_not():
    assert shortfalls(lines(), DIGEST, (*NAMES, "p=0.5")) == [
        "selection: there is no line of p=0.5: recall less mean p_det of A+B"
    ]


def test_lines_of_something_else_do_not_count():
    assert shortfalls(lines(), "sha256:2", NAMES) == [
        "selection: it judged something else (sha256:1…, not sha256:2…)",
        "realism: it judged something else (sha256:1…, not sha256:2…)",
    ]


def test_realism_need_not_be_told_but_closure_must():
    arcs, first = AUC["arcs"], closure_of(NAMES[0])
    assert shortfalls(lines(**{arcs: {"told": False}}), DIGEST, NAMES) == []
    assert shortfalls(lines(**{first: {"told": False}}), DIGEST, NAMES) == [f"selection: not told ({first})"]


def test_an_embedding_that_was_not_given_is_no_other_limit():
    none = {"value": None, "limit": ""}
    assert shortfalls(lines(**{AUC["the model's embedding"]: none}), DIGEST, NAMES) == []


@pytest.mark.parametrize("n", [99, None, "many"])
def test_few_lenses_do_not_tell(n):
    first = closure_of(NAMES[0])
    assert shortfalls(lines(**{first: {"n": n}}), DIGEST, NAMES) == [
        f"selection: not told ({first}: {n} lenses, fewer than 100)"
    ]


def test_the_limits_are_those_that_the_gates_write(tmp_path):
    """By their defaults."""
    from lensctl.comparing.realism import verdict
    from lensctl.gates.realism import Settings

    assert LIMITS[AUC["arcs"]] == verdict("", Estimate(0.5, 0.4, 0.6), "", Settings()).limit
    artefacts = meets("realism", "", Estimate(0.5, 0.4, 0.6), Settings().artefact_auc)
    assert LIMITS[AUC["artefacts"]] == artefacts.limit == "interval meets 0.4..0.6"
    checks = {check.check: check for check in judge("realism", selection_tables.make(tmp_path / "s"))}
    assert {name: checks[name].limit for name in CENTRED} == {name: LIMITS[name] for name in CENTRED}
    assert not checks[BRIGHT].told, "there is no magnitude of the arcs"
