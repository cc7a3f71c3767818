"""Criteria as expressions: row by row what Python says of them, false where a value is unknown."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.rules.errors import InputError
from lensctl.rules.expressions import Expression

NUMBERS = st.one_of(st.just(math.nan), st.sampled_from([-1.0, 0.0, 0.4, 3.0, 5.0]), st.floats(-9, 9, width=32))
ROWS = st.lists(
    st.fixed_dictionaries(
        {"a": NUMBERS, "b": NUMBERS, "n": st.integers(-1, 9), "type": st.sampled_from(["SER", "DEV", ""])}
    ),
    min_size=1,
    max_size=20,
)


def columns(rows: list[dict]) -> dict[str, np.ndarray]:
    return {
        "a": np.array([r["a"] for r in rows], np.float32),
        "b": np.array([r["b"] for r in rows], np.float64),
        "n": np.array([r["n"] for r in rows], np.int16),
        "type": np.array([r["type"].encode() for r in rows]),
    }


def comparison() -> st.SearchStrategy[str]:
    column = st.sampled_from(["a", "b", "n", "a + b", "a * 2 - n", "abs(b)"])
    value = st.one_of(column, st.integers(-3, 9).map(str), st.just("0.4"))
    numeric = st.tuples(column, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), value).map(" ".join)
    chained = st.tuples(st.just("-1 <"), st.sampled_from(["a", "b"]), st.just("<= 5")).map(" ".join)
    text = st.sampled_from(["type == 'SER'", "type != 'SER'", "type in ('SER', 'DEV')", "type not in ('SER',)"])
    return st.one_of(numeric, chained, text, st.just("n in (1, 3, 5)"))


CRITERIA = st.recursive(
    comparison(),
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    max_leaves=4,
)


def slowly(text: str, row: dict) -> bool:
    """The same by Python, one comparison at a time; a comparison with an unknown value is false."""
    import ast

    values = {"a": float(np.float32(row["a"])), "b": row["b"], "n": row["n"], "type": row["type"], "abs": abs}

    def of(node: ast.expr) -> object:
        if isinstance(node, ast.BoolOp):
            return (all if isinstance(node.op, ast.And) else any)([of(part) for part in node.values])
        if isinstance(node, ast.Compare):
            sides = [eval(ast.unparse(part), {}, values) for part in (node.left, *node.comparators)]
            unknown = any(side == "" or (isinstance(side, float) and math.isnan(side)) for side in sides)
            return not unknown and bool(eval(ast.unparse(node), {}, values))
        raise AssertionError(node)

    return bool(of(ast.parse(text, mode="eval").body))


@given(CRITERIA, ROWS)
def test_a_criterion_is_what_python_says_row_by_row_and_false_of_what_is_unknown(text, rows):
    assert Expression(text)(columns(rows).__getitem__).tolist() == [slowly(text, row) for row in rows]


def test_unknown_values_can_be_asked_for():
    here = {"x": np.array([1.0, np.nan]), "type": np.array([b"", b"SER"]), "name": np.array(["", "a"])}
    assert Expression("unknown(x)")(here.__getitem__).tolist() == [False, True]
    assert Expression("unknown(type) or unknown(name)")(here.__getitem__).tolist() == [True, False]
    assert Expression("x < 0 or unknown(x + 1)")(here.__getitem__).tolist() == [False, True]


def test_bits_have_names_and_numbers():
    mask = {"maskbits": np.array([0, 1 << 1, 1 << 3, (1 << 1) | (1 << 11), -1])}
    named = (("BRIGHT", 1), ("MEDIUM", 11))
    assert Expression("bits(maskbits, 'BRIGHT', 'MEDIUM') == 0", named)(mask.__getitem__).tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]
    by_number = Expression("bits(maskbits, 3, 3) != 0")(mask.__getitem__)
    assert by_number.tolist() == [False, False, True, False, True]


def test_the_columns_of_an_expression_are_named_once_each():
    text = "flux_r >= 5 and (type == 'DEV' or sersic >= 4 and abs(flux_r) > sqrt(shape_r))"
    assert Expression(text).columns == ("flux_r", "type", "sersic", "shape_r")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flux_r >", "'flux_r >' is not an expression"),
        ("3 > 2", "'3 > 2' names no column"),
        ("flux_r", "'flux_r' is a value, not a criterion"),
        ("flux_r and nobs_z", "and, or join criteria, not values"),
        ("not flux_r > 3", "is a value, not a criterion"),
        ("flux_r > (nobs_z > 3)", "a criterion stands where a value should"),
        ("type in 'SER'", "in needs a list of values"),
        ("n in ()", "in needs a list of values"),
        ("n in (1, 'SER')", "a list mixes text and numbers"),
        ("x is None", "no such comparison"),
        ("__import__('os').system('true') == 0", "no such function"),
        ("open('/etc/passwd') == 0", "no such function"),
        ("x.real > 0", "'x.real' is not understood"),
        ("x[0] > 0", "'x[0]' is not understood"),
        ("(lambda: 0)() == 0", "no such function"),
        ("True == x", "'True' is not understood"),
        ("bits(maskbits, 'BRIGTH') == 0", "no bit 'BRIGTH'; the survey names BRIGHT"),
        ("bits(maskbits) == 0", "bits needs a column and some bits"),
        ("abs(x, y) > 0", "abs(x) takes one value"),
        ("x % 2 == 0", "'x % 2' is not understood"),
        ("(" * 5000 + "x" + ")" * 5000 + " > 0", "is not an expression"),
    ],
)
def test_anything_else_is_refused_in_a_sentence_before_it_runs(text, message):
    with pytest.raises(InputError) as error:
        Expression(text, (("BRIGHT", 1),))
    assert message in str(error.value)


def test_text_is_not_compared_with_numbers():
    with pytest.raises(InputError, match="'type == 3' compares text with numbers"):
        Expression("type == 3")({"type": np.array([b"SER"])}.__getitem__)


def test_bits_of_an_unknown_mask_meet_no_criterion():
    mask = np.array([0.0, np.nan, 4.0])
    for text, expected in {
        "bits(m, 2) == 0": [True, False, False],
        "bits(m, 2) != 0": [False, False, True],
        "bits(m, 2) >= 0": [True, False, True],
    }.items():
        assert Expression(text)(lambda name: mask).tolist() == expected, text
