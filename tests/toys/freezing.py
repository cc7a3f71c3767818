"""The toy's run, evaluation and frozen model in a folder of their own: to be spoiled, frozen, signed and verified."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lensctl.freeze.folder import fill
from lensctl.frozen import layout, signature
from lensctl.frozen.proof.checks import prove
from tests.toys import frozen as frozen_toys


def copy_of(bundle: Path, folder: Path, *names: str) -> Path:
    """Some folders of a bundle, and its gates, copied into a folder where they may be spoiled."""
    for name in names:
        shutil.copytree(bundle / name, folder / name)
    shutil.copy(bundle / "gates.jsonl", folder / "gates.jsonl")
    return folder


def frozen_of(folder, **options):
    """Freeze a folder's run into its `out`."""
    return fill(folder / "run", folder / "evaluation", [folder / "gates.jsonl"], folder / "out", **options)


def spoil_metrics(folder, change):
    """Change metrics.json, and the gate line that judged it along with it."""
    metrics = frozen_toys.read_metrics(folder)
    change(metrics)
    frozen_toys.write_metrics(folder, metrics)
    frozen_toys.write_gates(folder)


def failed(folder, **options):
    """Names of the checks that fail, with their offenders."""
    return {check.check: set(check.offenders) for check in prove(folder, **options) if not check.passed}


def sign(folder: Path, private: Path) -> None:
    """Sign a folder as it is, with the model-signing package alone."""
    from model_signing import signing

    signer = signing.Config().use_elliptic_key_signer(private_key=private)
    signer.sign(folder, folder / layout.SIGNATURE)


_SIGNED: list[Path] = []


def signed_bundle(factory: pytest.TempPathFactory) -> Path:
    """A folder with frozen/, signed, and key.pem and key.pub beside it; made once, not to be changed."""
    if not _SIGNED:
        bundle = frozen_toys.bundle(factory)
        folder = factory.mktemp("signed")
        private = signature.private_key(frozen_toys.key_pair(folder)[0])
        (folder / "frozen").mkdir()
        fill(bundle / "run", bundle / "evaluation", [bundle / "gates.jsonl"], folder / "frozen", key=private)
        _SIGNED.append(folder)
    return _SIGNED[0]


FREEZE = ["freeze", "run", "out", "--evaluation", "evaluation", "--gates", "gates.jsonl"]


def said(capfd):
    """Lines of JSON on stdout, and stderr."""
    out, err = capfd.readouterr()
    return [json.loads(line) for line in out.splitlines()], err
