"""How many of each stratum, and in which order: laws, and vectors from other programs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.rules import sampling_rule

VECTORS = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "selection.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda vector: f"{vector['seed']}:{vector['galaxy_id']}")
def test_key_vectors(vector):
    assert sampling_rule.order_key(vector["galaxy_id"], vector["seed"]) == vector["key"]


def test_a_draw_among_chosen_rows_takes_each_as_likely():
    """Of two classes other shares were chosen, by the lowest keys of the order; they stay in proportion."""
    all_of = {kind: sorted((f"{kind}{i}" for i in range(20_000)), key=order) for kind in "ab"}
    chosen = all_of["a"][:4_000] + all_of["b"][:12_000]
    drawn = sorted(chosen, key=lambda id: sampling_rule.draw_key("test", id, 42))[:2_000]
    assert sum(id[0] == "a" for id in drawn) == pytest.approx(500, abs=80)


def order(id):
    return sampling_rule.order_key(id, 42)


counts = st.dictionaries(st.tuples(st.text("ab", min_size=1, max_size=3)), st.integers(0, 50), min_size=1)


@given(counts, st.integers(1, 200), st.one_of(st.none(), st.integers(1, 2000)))
def test_targets_never_exceed_the_cap_and_meet_it_where_they_are_scaled(positives, per_positive, cap):
    wanted = sampling_rule.targets(positives, per_positive=per_positive, cap=cap)
    plain = {stratum: per_positive * count for stratum, count in positives.items()}
    assert wanted.keys() == plain.keys()
    if cap is None or sum(plain.values()) <= cap:
        assert wanted == plain
    else:
        assert sum(wanted.values()) == cap
        assert all(abs(wanted[s] - cap * plain[s] / sum(plain.values())) < 1 for s in plain)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 400), st.floats(0, 1))
def test_a_quota_takes_what_there_is_and_no_more(n1, n2, target, share):
    quota = sampling_rule.quota(("x",), 1, (n1, n2), target, n2_share=share)
    assert 0 <= quota.taken_n1 <= n1
    assert 0 <= quota.taken_n2 <= n2
    assert quota.taken_n1 + quota.taken_n2 == min(target, n1 + n2)
    assert quota.shortfall == max(0, target - n1 - n2)
    wanted = math.floor(share * target + 0.5)
    if n2 >= wanted and n1 >= target - wanted:
        assert (quota.taken_n2, quota.filled_from) == (wanted, "")
    else:
        assert quota.filled_from in ("N1", "N2", "")


@pytest.mark.parametrize(
    ("available", "taken", "filled_from", "shortfall"),
    [
        ((100, 100), (85, 15), "", 0),
        ((100, 5), (95, 5), "N1", 0),
        ((20, 100), (20, 80), "N2", 0),
        ((20, 5), (20, 5), "", 75),
    ],
)
def test_each_pool_makes_up_for_the_other(available, taken, filled_from, shortfall):
    quota = sampling_rule.quota(("x",), 1, available, 100, n2_share=0.15)
    assert ((quota.taken_n1, quota.taken_n2), quota.filled_from, quota.shortfall) == (taken, filled_from, shortfall)
