"""Gate results for freezing: every required gate must pass on the data used for training and evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lensctl.rules.checks import GATE_VERSION
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

KEYS = ("gate", "check", "passed", "value", "low", "high", "limit", "n", "offenders", "input_digest")
REQUIRED_GATES = ("pool", "splits", "overlap", "pixels", "homogeneity", "weights", "shortcut", "trained")

Lines = Sequence[Mapping[str, Any]]


def read_gate_results(path: Path) -> list[dict[str, Any]]:
    """The results in one file; InputError names an invalid line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "give the stdout of `lensctl gate`") from error
    return gate_results(data, str(path))


def gate_results(data: bytes, where: str) -> list[dict[str, Any]]:
    """The results in the bytes of a file; InputError names an invalid line."""
    try:
        texts = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: cannot be read (not text)", "give the stdout of `lensctl gate`") from error
    lines = []
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            line = json_value(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or any(key not in line for key in KEYS) or not isinstance(line["passed"], bool):
            raise InputError(f"{where}: line {number} is not a gate result", "give the stdout of `lensctl gate`")
        lines.append(line)
    if not lines:
        raise InputError(f"{where}: no gate results in this file", "give the stdout of `lensctl gate`")
    return lines


def missing_or_failed(lines: Lines, digests: Mapping[str, str], gates: Sequence[str] = REQUIRED_GATES) -> list[str]:
    """Why a model may not be frozen: one message for each required gate that did not pass on the right input.

    Parameters
    ----------
    lines : of all gates
    digests : mapping
        Required input digest of each gate.
    gates : sequence of str
        The required ones.
    """
    found = []  # frozen.json records these messages and `verify` compares them: do not change their text
    for gate in gates:
        own = [line for line in lines if line["gate"] == gate]
        bound = [line for line in own if line["input_digest"] == digests[gate]]
        failed = [str(line["check"]) for line in bound if not line["passed"]]
        if not own:
            found.append(f"{gate}: there is no line of it")
        elif not bound:
            found.append(f"{gate}: it judged something else ({_short(own[0])}, not {digests[gate][:19]}…)")
        elif failed:
            found.append(f"{gate}: not passed ({'; '.join(failed)})")
    return found


def outdated(lines: Lines, gates: Sequence[str] = REQUIRED_GATES) -> list[str]:
    """Required gates with a line of another version than this lensctl's; it is 1 where a line names none."""
    old = {line["gate"] for line in lines if line.get("gate_version", 1) != GATE_VERSION}
    return [gate for gate in gates if gate in old]


def _short(line: Mapping[str, Any]) -> str:
    return f"{str(line['input_digest'])[:19]}…" if line["input_digest"] else "no digest"


def as_text(lines: Iterable[Mapping[str, Any]]) -> str:
    """Lines as stored: required gates first, in fixed order, without duplicates."""
    texts = dict.fromkeys(json.dumps(line, ensure_ascii=False) for line in sorted(lines, key=_order))
    return "".join(f"{text}\n" for text in texts)


def _order(line: Mapping[str, Any]) -> tuple[int, str]:
    gate = str(line["gate"])
    return (REQUIRED_GATES.index(gate) if gate in REQUIRED_GATES else len(REQUIRED_GATES), gate)
