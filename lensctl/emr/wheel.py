"""The wheel a cluster installs: built from a checkout, identified by its digest, recognised when installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import shutil
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import lensctl
from lensctl.io import programs
from lensctl.io.provenance import digests
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, LensctlError, shortened

EPOCH = "315532800"
"""Timestamp of every file in the wheel, so that the same code gives the same digest."""

LAUNCHER = "lensctl/__main__.py"


@dataclass(frozen=True)
class Checkout:
    """A folder with lensctl's source and the files a cluster needs."""

    folder: Path

    @property
    def bootstrap(self) -> Path:
        """Script that installs the wheel on every node."""
        return self.folder / "emr_bootstrap" / "bootstrap.sh"

    @property
    def constraints(self) -> Path:
        """Pinned versions of its dependencies."""
        return self.folder / "constraints.txt"

    def wheel(self, into: Path) -> Path:
        """Build the wheel of this code; the same code gives the same bytes.

        Built from a copy, because leftovers in build/ would be included.
        """
        copy = into / "lensctl-source"
        shutil.copytree(self.folder / "lensctl", copy / "lensctl", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(self.folder / name, copy / name)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps"]
        settings = [f"SOURCE_DATE_EPOCH={EPOCH}", f"TMPDIR={into}"]
        done = programs.run(["env", *settings, *pip, "--wheel-dir", str(into), str(copy)])
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message from pip"])[-1]
            raise LensctlError(
                f"cannot build the wheel: {shortened(last, 200)}", "build it yourself, and give it as --wheel"
            )
        return next(into.glob("lensctl-*.whl"))


def checkout(folder: Path | None = None) -> Checkout:
    """The checkout in a folder, or the one this lensctl runs from; InputError if there is none."""
    found = Checkout((folder or Path(lensctl.__file__).parents[1]).absolute())
    for file in (found.bootstrap, found.constraints, found.folder / "pyproject.toml"):
        if not file.is_file():
            where = f"{folder}" if folder else "where this lensctl is installed"
            raise InputError(f"{where} is not a checkout of lensctl: {file.name} is missing", "add --checkout FOLDER")
    return found


def launcher(wheel: Path) -> bytes:
    """The script in a wheel with which Spark starts it; InputError if it is not a lensctl wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(LAUNCHER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{wheel}: not a wheel of lensctl ({error})", "build it with `pip wheel --no-deps .`"
        ) from error


def installed() -> str:
    """Digest of the wheel this lensctl was installed from, as recorded by pip; every module is checked against it.

    Raises InputError if it was not installed from a wheel, or a file was changed since.
    """
    distribution = metadata.distribution("lensctl")
    hashes = json_value(distribution.read_text("direct_url.json") or "{}").get("archive_info", {}).get("hashes", {})
    if "sha256" not in hashes:
        raise InputError("this lensctl was not installed from a wheel", "let emr_bootstrap/bootstrap.sh install it")
    for name, recorded, _ in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        file = Path(str(distribution.locate_file(name)))
        if recorded and name.startswith("lensctl/") and f"sha256={_digest(file)}" != recorded:
            raise InputError(f"{name} differs from the wheel: it was changed after installation", "start a new cluster")
    if Path(lensctl.__file__) != Path(str(distribution.locate_file("lensctl/__init__.py"))):
        raise InputError("the running lensctl is not the one pip installed", "check PYTHONPATH")
    return f"sha256:{hashes['sha256']}"


def _digest(file: Path) -> str | None:
    """SHA-256 of a file in the encoding of a wheel's RECORD; None if there is no such file."""
    if not file.is_file():
        return None
    raw = hashlib.sha256(file.read_bytes()).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def digest(wheel: Path) -> str:
    """Digest of a wheel file."""
    return digests.of_file(wheel)
