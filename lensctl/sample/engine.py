"""What the rule needs of an SQL engine, and the name under which it finds the rows of the pool there."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

CANDIDATES = "candidates"
"""Name of the pool's rows with their strata: no column of the pool's meets a name of the rule's there."""


class Engine(Protocol):
    """SQL engine in which the pool's NEEDED columns, and those of the strata, are registered as `pool`.

    Attributes
    ----------
    locator : tuple of str
        Columns of `pool` that identify a row.
    hash64 : str
        Name of the engine's 64-bit text hash function.
    """

    locator: tuple[str, ...]
    hash64: str

    def identifier(self, name: str) -> str:
        """A column's name as SQL has it, whatever characters are in it."""

    def view(self, name: str, sql: str) -> None:
        """Register the rows of a statement under a name."""

    def register(self, name: str, table: pa.Table) -> None:
        """Register a small table under a name."""

    def keep(self, name: str, sql: str) -> None:
        """Run a statement once and keep its rows under a name."""

    def query(self, sql: str) -> pa.Table:
        """Result of a statement that returns few rows."""

    def condition(self, what: str, fix: str) -> AbstractContextManager[None]:
        """Within it, a statement that the engine does not understand is an InputError: a user wrote a part of it."""
