"""The wheel that a cluster installs: built from a checkout, known by its digest, recognised where it is installed."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import lensctl
from lensctl.io.provenance import digests
from lensctl.rules.errors import InputError, LensctlError

EPOCH = "315532800"
"""The time that every file of a wheel has, so that the same code gives the same digest."""

LAUNCHER = "lensctl/__main__.py"


@dataclass(frozen=True)
class Checkout:
    """A folder with lensctl's code and what a cluster needs beside it."""

    folder: Path

    @property
    def bootstrap(self) -> Path:
        """The script that installs the wheel on every node."""
        return self.folder / "emr_bootstrap" / "bootstrap.sh"

    @property
    def constraints(self) -> Path:
        """The versions of everything else that it installs."""
        return self.folder / "constraints.txt"

    def wheel(self, into: Path) -> Path:
        """Build the wheel of this code; the same code gives the same bytes.

        It is built of a copy: what lies in build/ from other builds would get in.
        """
        copy = into / "lensctl-source"
        shutil.copytree(self.folder / "lensctl", copy / "lensctl", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(self.folder / name, copy / name)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps"]
        done = subprocess.run(
            ["env", f"SOURCE_DATE_EPOCH={EPOCH}", *pip, "--wheel-dir", str(into), str(copy)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise LensctlError(f"the wheel cannot be built: {last[:200]}", "build it yourself, and give it as --wheel")
        return next(into.glob("lensctl-*.whl"))


def checkout(folder: Path | None = None) -> Checkout:
    """The checkout in a folder, or the one that this very lensctl runs from; InputError where there is none."""
    found = Checkout((folder or Path(lensctl.__file__).parents[1]).absolute())
    for file in (found.bootstrap, found.constraints, found.folder / "pyproject.toml"):
        if not file.is_file():
            where = f"{folder}" if folder else "where this lensctl is installed"
            raise InputError(f"{where} is no checkout of lensctl: it has no {file.name}", "add --checkout FOLDER")
    return found


def launcher(wheel: Path) -> bytes:
    """The script in a wheel with which Spark starts it; InputError where it is no wheel of lensctl."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(LAUNCHER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{wheel}: not a wheel of lensctl ({error})", "build it with `pip wheel --no-deps .`"
        ) from error


def installed() -> str:
    """Digest of the wheel that this lensctl was installed from, as pip noted it; every module is compared with it.

    Raises InputError where it was not installed from a wheel, or a file of it was changed afterwards.
    """
    ours = metadata.distribution("lensctl")
    noted = json.loads(ours.read_text("direct_url.json") or "{}").get("archive_info", {}).get("hashes", {})
    if "sha256" not in noted:
        raise InputError("this lensctl was not installed from a wheel", "let emr_bootstrap/bootstrap.sh install it")
    for file in ours.files or ():
        if file.hash and file.parts[0] == "lensctl" and _digest(Path(str(file.locate()))) != file.hash.value:
            raise InputError(f"{file} is not what the wheel holds: it was changed after it was installed", "start anew")
    if Path(lensctl.__file__) != Path(str(ours.locate_file("lensctl/__init__.py"))):
        raise InputError("the lensctl that runs is not the one that pip installed", "look at PYTHONPATH")
    return f"sha256:{noted['sha256']}"


def _digest(file: Path) -> str | None:
    """SHA-256 of a file as a wheel's RECORD writes it; None where there is no such file."""
    if not file.is_file():
        return None
    raw = hashlib.sha256(file.read_bytes()).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def digest(wheel: Path) -> str:
    """Digest of a wheel file."""
    return digests.of_file(wheel)
