"""`lensctl doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import LOOK, command

if TYPE_CHECKING:
    from lensctl.doctor import Question

GIB = 1 << 30


@command("doctor", LOOK)
def doctor(
    bucket: Annotated[
        str | None, typer.Option(metavar="BUCKET", help="Also check access to this S3 bucket.", show_default=False)
    ] = None,
    url: Annotated[
        str, typer.Option(metavar="URL", help="The cutout service.")
    ] = "https://www.legacysurvey.org/viewer",
    seconds: Annotated[float, typer.Option(min=0.1, help="Time to wait for a server.")] = 5.0,
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Folder whose free disk space is checked.")] = Path(),
) -> None:
    """Check this machine: versions, GPU, AWS, services.

    Being offline, or without AWS or a GPU, is not a failure. Secrets are not shown.

    Example: lensctl doctor
    """
    from lensctl.doctor import examine, works
    from lensctl.rules.errors import InputError

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "name one with --folder")
    findings = examine(_questions(bucket.removeprefix("s3://").strip("/") if bucket else None, url, seconds, folder))
    answers = {True: "yes", False: "no", None: ""}
    report.table(
        "This machine",
        ("", "", "works", "found", "what to do"),
        [(f.topic, f.name, answers[f.ok], f.value, f.fix) for f in findings],
    )
    report.receipt("doctor", "", works=works(findings), findings=[finding.as_dict() for finding in findings])


def _questions(bucket: str | None, url: str, seconds: float, folder: Path) -> list[Question]:
    """All questions, in the order they are reported."""
    import functools
    import platform
    import sys

    from lensctl import __version__
    from lensctl.doctor import CLOUD, EXTRAS, MACHINE, SERVICES, SOFTWARE, Question, once
    from lensctl.io import machine, workers
    from lensctl.io.provenance import environment
    from lensctl.io.storage import s3

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
        return status < 500, f"{url} answers {status}"

    def java() -> tuple[bool, str]:
        found = machine.java()
        return found is not None, found or "not installed"

    own = [
        Question(SOFTWARE, "lensctl", lambda: (True, __version__)),
        Question(
            SOFTWARE, "python", lambda: (sys.version_info >= (3, 11), platform.python_version()), "use 3.11 or later"
        ),
        Question(SOFTWARE, "torch and torchvision import", torch, "install matching versions of torch and torchvision"),
    ]
    own += [Question(SOFTWARE, name, functools.partial(package, name), f"pip install {name}") for name in needed[""]]
    here = [
        Question(MACHINE, "system", lambda: (None, f"{platform.system()} {platform.release()}, {platform.machine()}")),
        Question(MACHINE, "cores", lambda: (None, str(workers.cores()))),
        Question(MACHINE, "memory", memory),
        Question(MACHINE, "GPU", gpu, "training works without one, but slowly"),
        Question(MACHINE, "disk", disk),
    ]
    away = [
        Question(CLOUD, "AWS region", region, "set AWS_REGION, or region in your profile"),
        Question(CLOUD, "AWS credentials", credentials, "set AWS_PROFILE, or run with an instance role"),
        Question(CLOUD, "S3 endpoint", lambda: (None, aws().endpoint or "default of the region")),
        Question(CLOUD, "S3 within reach", reach, "check endpoint, bucket and credentials"),
        Question(SERVICES, "cutout service", service, "--source coadd needs no service"),
    ]
    more = [
        Question(EXTRAS, f"{extra}: {name}", functools.partial(package, name), f"pip install 'lensctl[{extra}]'")
        for extra in ("spark", "track")
        for name in needed.get(extra, [])
    ]
    return own + here + away + [*more, Question(EXTRAS, "spark: Java", java, "install Java 17")]
