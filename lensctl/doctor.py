"""Checks what works on this machine, all checks in parallel; a failed check is a finding, not an error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from lensctl.rules.errors import LensctlError

Answer = TypeVar("Answer")
SOFTWARE, MACHINE, CLOUD, SERVICES, EXTRAS = "software", "machine", "cloud", "services", "extras"


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes
    ----------
    topic, name : str
    ok : bool or None
        Whether it works; None if not checked, or only informative.
    value : str
        What was found, or why it does not work.
    fix : str
        How to fix it.
    """

    topic: str
    name: str
    ok: bool | None
    value: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; an empty fix is left out."""
        return {name: value for name, value in asdict(self).items() if name != "fix" or value}


@dataclass(frozen=True)
class Question:
    """One check: `ask` returns ok and value of the finding, or raises the reason why it fails."""

    topic: str
    name: str
    ask: Callable[[], tuple[bool | None, str]]
    fix: str = ""


def once(ask: Callable[[], Answer]) -> Callable[[], Answer]:
    """The same function, called only once however many threads need its result."""
    lock = threading.Lock()
    kept: list[Answer] = []

    def asked() -> Answer:
        with lock:
            if not kept:
                kept.append(ask())
            return kept[0]

    return asked


def examine(questions: Sequence[Question]) -> list[Finding]:
    """Run all checks in parallel; a LensctlError or OSError makes the finding not ok."""
    with ThreadPoolExecutor(max(1, len(questions))) as pool:
        return list(pool.map(_answer, questions))


def _answer(question: Question) -> Finding:
    try:
        ok, value = question.ask()
        fix = question.fix
    except LensctlError as error:
        ok, value, fix = False, str(error), error.fix or question.fix
    except OSError as error:
        ok, value, fix = False, error.strerror or str(error), question.fix
    return Finding(question.topic, question.name, ok, value, "" if ok is not False else fix)


def works(findings: Sequence[Finding]) -> bool:
    """Whether everything that lensctl requires works."""
    return all(finding.ok is not False for finding in findings if finding.topic == SOFTWARE)
