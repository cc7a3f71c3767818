"""`lensctl verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, be_a_good_neighbour

NO = 1


@command("verify", MODEL)
def verify(
    frozen_dir: Annotated[Path, typer.Argument(metavar="FROZEN_DIR", help="Made by `lensctl freeze`.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="PUB",
            help="Public key (PEM) of whoever must have signed it; without a signature by it the answer is no.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
) -> int:
    """Prove that a frozen model is the one that was frozen.

    Exit status 1 means that it is not.

    One JSON line for each check on stdout, like those of `lensctl gate`: no file missing, extra or touched, signed by
    whom it must be, digests and steps that name each other, thresholds that come out again from the stored scores, and
    golden inputs to which the weights and the exported program give their logits, on the CPU and on CUDA where there
    is one.

    Whoever can change files can also change SHA256SUMS and everything else to fit. Only --key finds that.

    Example: lensctl verify frozen
    """
    be_a_good_neighbour()
    from lensctl.frozen import signature
    from lensctl.verify import verify as checks_of

    signer = None if key is None else signature.public_key(key)
    checks = []
    for check in checks_of(frozen_dir, device=device, key=signer):
        report.out(check.as_json())
        checks.append(check)
    failed = [check for check in checks if not check.passed]
    report.table(
        f"{frozen_dir.name}: {'NOT what was frozen' if failed else 'is what was frozen'}",
        ("check", "passed", "value", "limit", "n", "which"),
        (
            (
                check.check,
                ("yes" if check.limit else "reported") if check.passed else "NO",
                check.value,
                check.limit,
                check.n,
                "; ".join(filter(None, (*check.offenders, check.note))),
            )
            for check in checks
        ),
    )
    return NO if failed or not checks else 0
