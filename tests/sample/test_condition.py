"""`--where`: what it refuses, and that both engines would read it alike."""

from __future__ import annotations

import contextlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.io.tables.sql import Database
from lensctl.rules.errors import InputError
from lensctl.sample import condition
from tests.toys import catalogs as toys

POOL = toys.pool(400)


def met(text, pool=POOL):
    condition.refuse(text)
    with Database(threads=1) as database:
        database.register("pool", pool, located=True)
        count = condition.view_rows_that(database, "candidates", pool.schema, text, "galaxy_id")
        found = database.query("SELECT galaxy_id FROM candidates")["galaxy_id"].to_pylist()
        assert len(found) == count
        return sorted(found)


def test_it_selects_rows_by_any_column_in_either_case():
    rows = POOL.to_pylist()
    expected = sorted(row["galaxy_id"] for row in rows if row["type"] == "SER" and row["nobs_z"] >= 6)
    assert met("type = 'SER' AND nobs_z >= 6") == met("TYPE = 'SER' and Nobs_Z >= 6") == expected


def test_numbers_are_compared_in_float64_whatever_they_are_stored_in():
    """19.1 in float32 is a little more than 19.1, and DuckDB would round the 19.1 of the condition, too."""
    pool = POOL.append_column("x", pa.array([19.1] * POOL.num_rows, pa.float32()))
    assert met("x > 19.1", pool) == sorted(POOL["galaxy_id"].to_pylist())
    assert met("x <= 19.1", pool) == []


def test_an_unknown_value_does_not_meet_it():
    pool = POOL.append_column("x", pa.array([None if row % 2 else 1.0 for row in range(POOL.num_rows)]))
    assert len(met("x < 2", pool)) == len(POOL["ra"].to_pylist()[::2])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "--where is empty"),
        ("  ", "--where is empty"),
        ('"split" = 1', "holds a double quote"),
        ("`split` = 1", "holds a backquote"),
        ("type = 'a\\'", "holds a backslash"),
        ("nobs_z ^ 2 > 3", r"holds \^"),
        ("true); drop table pool", "holds a semicolon"),
        ("true -- more", "holds a comment"),
        ("random() < 0.5", "'random' is not of the pool's rows"),
        ("galaxy_id in (SELECT x FROM y)", "'select' is not of the pool's rows"),
        ("nobs_q > 3", 'Referenced column "nobs_q" not found'),
        ("nobs_z >", "syntax error"),
        ("type > 3", "Cannot compare values of type VARCHAR"),
        ("CAST(type AS INT) > 3", "Could not convert string"),
    ],
)
def test_what_is_no_condition_is_refused_in_a_sentence(text, said):
    with pytest.raises(InputError, match=said):
        met(text)


def test_quoted_text_is_not_looked_into():
    assert met("type <> 'select random() -- x'") == sorted(POOL["galaxy_id"].to_pylist())


PIECES = st.sampled_from([
    "split", "nobs_z", "ra", "galaxy_id", "flux_z", "'test'", "3", "1e400", "0x1", "NULL", "and", "or", "not", "in",
    "(", ")", ",", "=", "<>", "<", "+", "-", "*", "/", "%", "||", "::", "CAST(ra AS INT)", "between", "like", "is",
    "case", "when", "then", "end", "pool.", "[1]", "{}", "@", "?", "$1", "#", "!", "~", "abs(", "count(*)",
    "sum(ra) over ()", "\x00", "é",
])  # fmt: skip


@settings(max_examples=60)
@given(st.lists(PIECES, min_size=1, max_size=7).map(" ".join) | st.text(max_size=12))
def test_no_condition_is_our_fault(text):
    """It is met by some rows, or refused in a sentence."""
    with contextlib.suppress(InputError):
        met(text)
