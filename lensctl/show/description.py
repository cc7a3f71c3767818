"""What is said of a file: its kind, figures, tables for people, and how it came about."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lensctl.io.provenance.steps import Chain, to_list

DIGEST_SHOWN = 12
LONGEST_PARAMETER = 60
WIDTH = 120


@dataclass(frozen=True)
class Rows:
    """A table for people."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Description:
    """What a file is.

    Attributes
    ----------
    kind : str
        Such as "table", "cutout store" or "run".
    figures : mapping
        One value or a short text by name, for people and machines.
    listings : sequence of Listing
        Tables for people.
    details : mapping
        What else machines get: the listings in JSON, each under its own name.
    chain : Chain
        How it came about, where it says.
    """

    kind: str
    figures: Mapping[str, Any]
    listings: Sequence[Rows] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    chain: Chain = ()

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        values = {"kind": self.kind, **self.figures, **self.details}
        if self.chain:
            values["provenance"] = to_list(self.chain)
        plain: dict[str, Any] = plainly(values)
        return plain


def plainly(value: Any) -> Any:
    """A value as JSON holds it: numbers that are not finite are null, what JSON does not know is text."""
    if isinstance(value, Mapping):
        return {str(key): plainly(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plainly(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if value is None or isinstance(value, str | int):
        return value
    return plainly(value.item()) if hasattr(value, "item") else str(value)


def short(digest: str | None) -> str:
    """The first letters of a digest, to tell it from others."""
    if not digest:
        return "–"
    kind, _, rest = digest.rpartition(":")
    return f"{kind}:{rest[:DIGEST_SHOWN]}…" if kind else f"{digest[:DIGEST_SHOWN]}…"


def chain_lines(chain: Chain) -> list[str]:
    """A chain for people, the last step first: each step once, its inputs under it, their steps by number.

    >>> chain_lines((step_a, step_b))  # doctest: +SKIP
    ['[2] sample 1f2e…  seed=42', '      pool: pool.parquet ← [1]', …]
    """
    number = {step.id: i for i, step in enumerate(chain, start=1)}
    lines = []
    for step in reversed(chain):
        chosen = [f"{key}={_brief(value)}" for key, value in step.parameters.items() if value not in (None, "")]
        lines.append(f"[{number[step.id]}] {step.command} {step.id[:DIGEST_SHOWN]}  lensctl {step.version}")
        lines += textwrap.wrap("  ".join(chosen), WIDTH, initial_indent="      ", subsequent_indent="      ")
        for source in step.inputs:
            made_by = number.get(source.step or "")
            origin = f"← [{made_by}]" if made_by else short(source.digest)
            lines.append(f"      {source.role}: {source.name} {origin}")
    return lines


def _brief(value: Any) -> str:
    if isinstance(value, list | tuple):
        text = ",".join(map(str, value))
    elif isinstance(value, Mapping):
        text = "{…}" if value else "{}"
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= LONGEST_PARAMETER else text[:LONGEST_PARAMETER] + "…"


def counted(values: Iterable[Any]) -> dict[str, int]:
    """How often each value stands among some, the most frequent first."""
    from collections import Counter

    found = Counter("null" if value is None else str(value) for value in values)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def as_text(counts: Mapping[str, int]) -> str:
    """Counts in one line."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
