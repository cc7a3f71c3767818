"""Checks what works on this machine, all checks in parallel; a failed check is a finding, not an error."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from lensctl import __version__
from lensctl.io import machine, programs, workers
from lensctl.io.provenance import environment
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage import s3
from lensctl.rules.errors import InputError, LensctlError, first_line, without_secrets

Answer = TypeVar("Answer")
GIB = 1 << 30
VIEWER = "https://www.legacysurvey.org/viewer"
SOFTWARE, MACHINE, CLOUD, SERVICES, EXTRAS = "software", "machine", "cloud", "services", "extras"
ANSWERS = {True: "yes", False: "no", None: ""}


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
    package : bool
        Whether it is a required Python package.
    """

    topic: str
    name: str
    ok: bool | None
    value: str
    fix: str = ""
    package: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; an empty fix is left out."""
        return {name: value for name, value in asdict(self).items() if name != "package" and (name != "fix" or value)}


@dataclass(frozen=True)
class Question:
    """One check: `ask` returns ok and value of the finding, or raises the reason why it fails."""

    topic: str
    name: str
    ask: Callable[[], tuple[bool | None, str]]
    fix: str = ""
    package: bool = False


def doctor(
    bucket: str | None = None,
    *,
    url: str = VIEWER,
    seconds: float = 5.0,
    folder: str | Path = ".",
    report: Reporter = SILENT,
) -> Receipt:
    """Check this machine: versions, GPU, AWS, services; what does not work is a finding, not an error.

    Parameters
    ----------
    bucket : str, optional
        Also check access to this S3 bucket.
    url : str
        The cutout service.
    seconds : float
        Time to wait for a server.
    folder : path
        Whose free disk space is checked.

    Returns
    -------
    Receipt
        With `works`, whether all that lensctl requires does, and the findings.
    """
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder", "name one with --folder")
    name = bucket.removeprefix("s3://").strip("/") if bucket else None
    findings = examine(questions(name, url, seconds, Path(folder)))
    _tell(findings, report)
    found = [finding.as_dict() for finding in findings]
    return {"command": "doctor", "output": "", "works": works(findings), "findings": found}


def _tell(findings: Sequence[Finding], report: Reporter) -> None:
    """What was found, packages that are there in one row, and in the last line what it comes to."""
    packages = [finding for finding in findings if finding.package]
    there = sum(finding.ok is True for finding in packages)
    rows = [
        (finding.topic, finding.name, ANSWERS[finding.ok], finding.value + (f" ({finding.fix})" if finding.fix else ""))
        for finding in findings
        if not (finding.package and finding.ok)
    ]
    last = max((i for i, row in enumerate(rows) if row[0] == SOFTWARE), default=-1) + 1
    count = (SOFTWARE, "required packages", ANSWERS[there == len(packages)], f"{there} of {len(packages)} installed")
    report.table("This machine", ("", "", "works", "found"), [*rows[:last], count, *rows[last:]])
    report.say(summary(findings))


def summary(findings: Sequence[Finding]) -> str:
    """In one line whether everything that is required works, and how much else does not."""
    needed = [finding.name for finding in findings if finding.topic == SOFTWARE and finding.ok is False]
    others = [finding for finding in findings if finding.topic != SOFTWARE and finding.ok is not None]
    no = sum(finding.ok is False for finding in others)
    first = f"lensctl does not work here: {', '.join(needed)}" if needed else "All that lensctl requires works"
    return f"{first}; {no} of {len(others)} optional checks failed, see above." if no else f"{first}."


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
        try:
            return list(pool.map(_answer, questions))
        finally:
            programs.end_all()


def _answer(question: Question) -> Finding:
    try:
        ok, value = question.ask()
        fix = question.fix
    except LensctlError as error:
        ok, value, fix = False, str(error), error.fix or question.fix
    except OSError as error:
        ok, value, fix = False, first_line(error.strerror or error), question.fix
    return Finding(question.topic, question.name, ok, value, "" if ok is not False else fix, question.package)


def works(findings: Sequence[Finding]) -> bool:
    """Whether everything that lensctl requires works."""
    return all(finding.ok is not False for finding in findings if finding.topic == SOFTWARE)


def questions(bucket: str | None, url: str, seconds: float, folder: Path) -> list[Question]:
    """All questions, in the order they are reported."""
    pair = once(machine.torch_pair)
    aws = once(s3.setting)
    needed = environment.requirements()

    def package(name: str) -> tuple[bool, str]:
        found = machine.version(name)
        return found is not None, found or "not installed"

    def torch() -> tuple[bool, str]:
        return True, f"{pair().torch} with torchvision {pair().torchvision}"

    def gpu() -> tuple[bool, str]:
        found = [f"{name}, {size / GIB:.0f} GiB" for name, size in pair().gpus]
        return bool(found or pair().mps), "; ".join(found) or ("Apple GPU" if pair().mps else "none; the CPU is used")

    def memory() -> tuple[None, str]:
        total, free = machine.memory_bytes()
        return None, f"{total / GIB:.1f} GiB" + (f", {free / GIB:.1f} free" if free is not None else "")

    def disk() -> tuple[None, str]:
        return None, f"{machine.free_bytes(folder) / GIB:.1f} GiB free in {folder.resolve()}"

    def region() -> tuple[bool, str]:
        return aws().region is not None, aws().region or "not configured"

    def credentials() -> tuple[bool, str]:
        method = aws().credentials_from
        return method is not None, f"found ({method})" if method else "not found"

    def reach() -> tuple[bool | None, str]:
        if bucket is None:
            return None, "not checked; use --bucket"
        s3.answers(bucket, seconds)
        return True, f"s3://{bucket} answers"

    def service() -> tuple[bool, str]:
        status = machine.answers(url, seconds)
        return status < 500, f"{without_secrets(url)} answers {status}"

    def java() -> tuple[bool, str]:
        found = machine.java()
        return found is not None, found or "not installed"

    own = [
        Question(SOFTWARE, "lensctl", lambda: (True, __version__)),
        Question(SOFTWARE, "python", machine.python, "use 3.11 or later"),
        Question(SOFTWARE, "torch and torchvision import", torch, "install matching versions of torch and torchvision"),
    ]
    own += [
        Question(SOFTWARE, name, functools.partial(package, name), f"pip install {name}", package=True)
        for name in needed[""]
    ]
    here = [
        Question(MACHINE, "system", lambda: (None, machine.system())),
        Question(MACHINE, "cores", lambda: (None, str(workers.cores()))),
        Question(MACHINE, "memory", memory),
        Question(MACHINE, "GPU", gpu, "training works without one, but slowly"),
        Question(MACHINE, "disk", disk),
    ]
    away = [
        Question(CLOUD, "AWS region", region, "set AWS_REGION, or region in your profile"),
        Question(CLOUD, "AWS credentials", credentials, "set AWS_PROFILE, or run with an instance role"),
        Question(CLOUD, "S3 endpoint", lambda: (None, without_secrets(aws().endpoint or "default of the region"))),
        Question(CLOUD, "S3 within reach", reach, "check endpoint, bucket and credentials"),
        Question(SERVICES, "cutout service", service, "--source coadd needs no service"),
    ]
    more = [
        Question(EXTRAS, f"{extra}: {name}", functools.partial(package, name), f"pip install 'lensctl[{extra}]'")
        for extra in ("spark", "timm", "track")
        for name in needed.get(extra, [])
    ]
    return own + here + away + [*more, Question(EXTRAS, "spark: Java", java, "install Java 17")]
