"""The JSON lines of gates, as a frozen model needs them: each gate passed, on what was trained and evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lensctl.rules.errors import InputError

KEYS = ("gate", "check", "passed", "value", "low", "high", "limit", "n", "offenders", "input_digest")
REQUIRED_GATES = ("pool", "splits", "overlap", "pixels", "homogeneity", "weights", "shortcut", "trained")

Lines = Sequence[Mapping[str, Any]]


def read_gate_results(path: Path) -> list[dict[str, Any]]:
    """The lines of one file; InputError that names the line which is none."""
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"{path}: cannot be read ({reason})", "give what `lensctl gate` wrote to stdout") from error
    lines = []
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or any(key not in line for key in KEYS) or not isinstance(line["passed"], bool):
            raise InputError(f"{path}: line {number} is not a gate's", "give what `lensctl gate` wrote to stdout")
        lines.append(line)
    if not lines:
        raise InputError(f"{path}: holds no gate line", "give what `lensctl gate` wrote to stdout")
    return lines


def missing_or_failed(lines: Lines, digests: Mapping[str, str]) -> list[str]:
    """Why a model may not be frozen: one text for each required gate that did not pass on the right input.

    Parameters
    ----------
    lines : of all gates
    digests : mapping
        For each required gate the digest of what it must have judged.
    """
    found = []
    for gate in REQUIRED_GATES:
        own = [line for line in lines if line["gate"] == gate]
        right = [line for line in own if line["input_digest"] == digests[gate]]
        failed = [str(line["check"]) for line in right if not line["passed"]]
        if not own:
            found.append(f"{gate}: there is no line of it")
        elif not right:
            found.append(f"{gate}: it judged something else ({_short(own[0])}, not {digests[gate][:19]}…)")
        elif failed:
            found.append(f"{gate}: not passed ({'; '.join(failed)})")
    return found


def _short(line: Mapping[str, Any]) -> str:
    return f"{str(line['input_digest'])[:19]}…" if line["input_digest"] else "no digest"


def as_text(lines: Iterable[Mapping[str, Any]]) -> str:
    """Lines as they are kept: required gates first, in their order, each line once."""
    texts = dict.fromkeys(json.dumps(line, ensure_ascii=False) for line in sorted(lines, key=_order))
    return "".join(f"{text}\n" for text in texts)


def _order(line: Mapping[str, Any]) -> tuple[int, str]:
    gate = str(line["gate"])
    return (REQUIRED_GATES.index(gate) if gate in REQUIRED_GATES else len(REQUIRED_GATES), gate)
