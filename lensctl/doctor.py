"""What works here: asks each part of the machine in turn, all at once, and takes a failure for an answer."""

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
    """One answer.

    Attributes
    ----------
    topic, name : str
    ok : bool or None
        Whether it is there and works; None where nobody asked, or it is only told.
    value : str
        What was found, or why it is not there.
    fix : str
        What to do where it is missing and wanted.
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
    """What to ask: `ask` gives a finding's ok and value, or raises why there is none."""

    topic: str
    name: str
    ask: Callable[[], tuple[bool | None, str]]
    fix: str = ""


def once(ask: Callable[[], Answer]) -> Callable[[], Answer]:
    """The same question, asked one time however many threads want the answer."""
    lock = threading.Lock()
    kept: list[Answer] = []

    def asked() -> Answer:
        with lock:
            if not kept:
                kept.append(ask())
            return kept[0]

    return asked


def examine(questions: Sequence[Question]) -> list[Finding]:
    """Ask all questions, those that wait at the same time; an error that is no bug is an answer: no."""
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
    """Whether everything is there that lensctl cannot do without."""
    return all(finding.ok is not False for finding in findings if finding.topic == SOFTWARE)
