"""The folder of a frozen model: its files, and the sums that hold them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from lensctl.rules.object_names import LEDGER

SUMS = "SHA256SUMS"
SIGNATURE = "model.sig"
FROZEN, THRESHOLDS, METRICS, PROVENANCE, GATES, CARD = (
    "frozen.json",
    "thresholds.json",
    "metrics.json",
    "provenance.json",
    "gates.jsonl",
    "README.md",
)
WEIGHTS, PROGRAM, GOLDEN = "model.safetensors", "model.pt2", "golden.npz"
NOT_IN_FROZEN = (FROZEN, SUMS)
"""What frozen.json's own list of files leaves out."""

TOLERANCE = 1e-3
"""How far a golden logit may be from the frozen one: other processors and libraries round otherwise."""

CONSTANT = {"kind": "frozen", "format": 1, "golden_tolerance": TOLERANCE}
"""What every frozen.json says."""

CALIBRATION = ("kind", "slope", "bias", "fitted_on")
"""What thresholds.json keeps of the evaluation's calibration."""

READ_ONLY = 0o444


def expected_files(members: int) -> list[str]:
    """Names of the files of a frozen model, sorted, relative to its folder; without SHA256SUMS and signature."""
    folders = [""] if members == 1 else [f"member-{k}/" for k in range(members)]
    weights = [folder + name for folder in folders for name in (WEIGHTS, PROGRAM)]
    return sorted([*weights, FROZEN, THRESHOLDS, METRICS, PROVENANCE, GATES, GOLDEN, CARD])


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_of(folder: Path, names: list[str]) -> str:
    """The text of SHA256SUMS, as sha256sum writes and checks it."""
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in names)


def parse_sums(text: str) -> dict[str, str] | None:
    """Digest by file name; None where the text is not what `sums_of` writes."""
    found = {}
    for line in text.splitlines():
        digest, gap, name = line[:64], line[64:66], line[66:]
        if gap != "  " or not name or any(c not in "0123456789abcdef" for c in digest):
            return None
        found[name] = digest
    rebuilt = "".join(f"{digest}  {name}\n" for name, digest in found.items())
    return found if found and rebuilt == text and list(found) == sorted(found) else None


@dataclass(frozen=True)
class FolderContents:
    """What lies in a folder: regular files, and what is none and holds none (links, devices, empty folders)."""

    files: list[str]
    odd: list[str]


def contents_of(folder: Path) -> FolderContents:
    """Everything below a folder, relative to it, but the note `lensctl sync` leaves; links are not followed."""
    files, odd = [], []
    for root, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(root) / name
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                odd.append(relative)
            elif path.is_file() and relative != LEDGER:
                files.append(relative)
            elif path.is_dir() and not any(path.iterdir()):
                odd.append(f"{relative}/")
    return FolderContents(sorted(files), sorted(odd))


def seal(folder: Path, names: list[str]) -> None:
    """Write SHA256SUMS and make every file read-only."""
    (folder / SUMS).write_text(sums_of(folder, names), encoding="utf-8")
    for name in (*names, SUMS):
        (folder / name).chmod(READ_ONLY)
