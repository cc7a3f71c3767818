"""Description of a file: its kind, values, tables for people, and provenance."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lensctl.io.provenance.steps import Chain, survey_of, to_list
from lensctl.rules.errors import shortened

DIGEST_SHOWN = 12
INDENT = "      "
LONGEST_PARAMETER = 60
WIDTH = 78
"""Of the lines of a chain, which stand two characters in."""


@dataclass(frozen=True)
class Rows:
    """A table for people."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Description:
    """Description of a file.

    Attributes
    ----------
    kind : str
        Such as "table", "cutout store" or "run".
    values : mapping
        Single values or short texts by name, for people and machines.
    listings : sequence of Rows
        Tables for people.
    details : mapping
        Further values for machines: the listings in JSON, each under its own name.
    chain : Chain
        Provenance, if known.
    """

    kind: str
    values: Mapping[str, Any]
    listings: Sequence[Rows] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    chain: Chain = ()

    def with_survey(self) -> Description:
        """The same with the survey that the provenance names, its bands and its pixel scale."""
        if not self.chain:
            return self
        survey = survey_of(self.chain)
        line = f"{survey.name}: {', '.join(survey.bands)} at {survey.pixel_scale_arcsec:g} arcsec per pixel"
        return replace(self, values={**self.values, "survey": line})

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        everything = {"kind": self.kind, **self.values, **self.details}
        if self.chain:
            everything["provenance"] = to_list(self.chain)
        plain: dict[str, Any] = plainly(everything)
        return plain


def plainly(value: Any) -> Any:
    """A value as plain JSON: non-finite numbers are null, types unknown to JSON are text."""
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


def in_words(value: Any) -> str:
    """A value as people write it: yes or no, numbers to six digits, lists with commas, a dash for nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value)) or "–"
    return "–" if value in (None, "") else str(value)


def short(digest: str | None) -> str:
    """The first characters of a digest."""
    if not digest:
        return "–"
    kind, _, rest = digest.rpartition(":")
    return f"{kind}:{rest[:DIGEST_SHOWN]}…" if kind else f"{digest[:DIGEST_SHOWN]}…"


def chain_lines(chain: Chain) -> list[str]:
    """A chain for people, last step first: each step once, followed by its inputs with their step numbers.

    >>> chain_lines((step_a, step_b))  # doctest: +SKIP
    ['[2] sample 1f2e…  seed=42', '      pool: pool.parquet ← [1]', …]
    """
    number = {step.id: i for i, step in enumerate(chain, start=1)}
    lines = []
    for step in reversed(chain):
        settings = [f"{key}={_brief(value)}" for key, value in step.parameters.items() if value not in (None, "")]
        lines.append(f"[{number[step.id]}] {step.command} {step.id[:DIGEST_SHOWN]}  lensctl {step.version}")
        lines += textwrap.wrap(
            "  ".join(settings),
            WIDTH,
            initial_indent=INDENT,
            subsequent_indent=INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for source in step.inputs:
            made_by = number.get(source.step or "")
            origin = f"← [{made_by}]" if made_by else short(source.digest)
            lines.append(f"{INDENT}{source.role}: {source.name} {origin}")
    return lines


def _brief(value: Any) -> str:
    if isinstance(value, list | tuple):
        text = ",".join(map(str, value))
    elif isinstance(value, Mapping):
        text = "{…}" if value else "{}"
    else:
        text = " ".join(str(value).split())
    return shortened(text, LONGEST_PARAMETER)


def counted(values: Iterable[Any]) -> dict[str, int]:
    """Number of occurrences of each value, most frequent first."""
    from collections import Counter

    counts = Counter("null" if value is None else str(value) for value in values)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def as_text(counts: Mapping[str, int]) -> str:
    """Counts in one line."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
