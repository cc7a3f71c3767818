"""What is said of a column."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: Arrow type name, unit and meaning."""

    name: str
    type: str
    meaning: str
    unit: str = ""
