"""`--where`: a user's condition on the rows of the pool, in SQL that means the same to DuckDB and to Spark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lensctl.rules.errors import InputError
from lensctl.sample.engine import Engine

if TYPE_CHECKING:
    import pyarrow as pa

FIX = "write it as SQL over columns of the pool, such as \"split = 'test' AND nobs_z >= 3\""
DIFFER = {'"': "a double quote", "`": "a backquote", "\\": "a backslash", "^": "^", ";": "a semicolon"}
"""What the engines read differently, or what ends a statement."""
ELSEWHERE = ("select", "random", "rand", "randn", "uuid", "now", "today", "current_date", "current_timestamp")
"""Words that would make a draw depend on more than the pool."""
_TEXT = re.compile(r"'[^']*'")
_WORD = re.compile(r"[^\W\d]\w*")


def refuse(condition: str) -> None:
    """Raise InputError for a condition that is empty, that the engines read differently, or that is not of the pool."""
    if not condition.strip():
        raise InputError("--where is empty", FIX)
    strange = next((name for sign, name in DIFFER.items() if sign in condition), None)
    if strange or "--" in _TEXT.sub("''", condition) or "/*" in _TEXT.sub("''", condition):
        raise InputError(f"--where {condition!r} holds {strange or 'a comment'}", FIX)
    other = next((word for word in _words(condition) if word in ELSEWHERE), None)
    if other:
        raise InputError(f"--where {condition!r}: '{other}' is not of the pool's rows", FIX)


def columns_of(condition: str) -> tuple[str, ...]:
    """Words of a condition that may be columns, as written and in lower case."""
    written = _WORD.findall(_TEXT.sub("''", condition))
    return tuple(dict.fromkeys((*written, *_words(condition))))


def _words(condition: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(_TEXT.sub("''", condition))]


def view_rows_that(engine: Engine, name: str, pool: pa.Schema, condition: str, columns: str) -> int:
    """Register columns of the rows of `pool` that meet a condition under a name; returns their number.

    Numbers are compared in float64, whatever they are stored in: engines read `mag_z <= 19.1` differently on float32.

    Raises InputError with the engine's words on a condition that it does not understand.
    """
    import pyarrow as pa

    locators = ", ".join(engine.locator)
    words = set(columns_of(condition))
    read = []
    for field in pool:
        given = engine.identifier(field.name)
        if field.name in words and pa.types.is_floating(field.type):
            read.append(f"CAST({given} AS DOUBLE) AS {given}")
        elif field.name in words or field.name in ("galaxy_id", "ra", "dec"):
            read.append(given)
    told = f"SELECT {locators}, {', '.join(read)} FROM pool"
    met = f"SELECT * FROM ({told}) AS told\nWHERE ({condition})\n"
    with engine.condition(f"--where {condition!r}", FIX):
        engine.view(name, f"SELECT {columns} FROM ({met}) AS met")
        count = engine.query(f"SELECT count(*) AS n FROM {name}")["n"][0].as_py()
    return int(count)
