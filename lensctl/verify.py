"""Verification of a frozen model, or of a selection function attached to one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lensctl.frozen import signature
from lensctl.frozen.proof.attachments import is_attachment, prove_attachment
from lensctl.frozen.proof.checks import prove, proven
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError

__all__ = ["proven", "verify"]


def verify(
    frozen_dir: str | Path,
    *,
    key: str | Path | None = None,
    device: str = "auto",
    frozen: str | Path | None = None,
    each: Callable[[Check], None] = lambda check: None,
    report: Reporter = SILENT,
) -> Receipt:
    """Verify that a frozen model, or a selection function attached to one, is unchanged.

    Parameters
    ----------
    frozen_dir : path
        Made by `freeze` or `selection attach`.
    key : path, optional
        Public key (PEM) of the expected signer.
    device : str
        Where golden logits are recomputed: cpu, cuda, or auto.
    frozen : path, optional
        The frozen model that an attachment must be of: verified and compared by digest.
    each : callable
        Called with each check as it is made.

    Returns
    -------
    Receipt
        With `passed`, and the checks as JSON values.

    Raises
    ------
    InputError
        Not a folder, no such device, not a public key; `frozen` for what is no attachment.
    """
    folder = Path(frozen_dir)
    signer = None if key is None else signature.public_key(Path(key))
    if is_attachment(folder):
        made = prove_attachment(folder, device=device, key=signer, frozen=frozen)
    elif frozen is not None:
        raise InputError(f"{folder}: is no attachment, so that there is nothing to compare", "leave out --frozen")
    else:
        made = prove(folder, device=device, key=signer)
    checks = []
    for check in made:
        each(check)
        checks.append(check)
    passed = bool(checks) and all(check.passed for check in checks)
    report.table(
        f"{folder.name}: {'verified' if passed else 'verification FAILED'}",
        ("check", "passed", "value", "limit", "n", "details"),
        [
            (
                check.check,
                ("yes" if check.limit else "reported") if check.passed else "NO",
                check.value,
                check.limit,
                check.n,
                "; ".join(filter(None, (*check.offenders, check.note))),
            )
            for check in checks
        ],
    )
    shown = [check.as_dict() for check in checks]
    return {"command": "verify", "output": str(frozen_dir), "passed": passed, "checks": shown}
