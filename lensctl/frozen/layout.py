"""The folder of a frozen model, and of a selection function attached to one: their files and checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
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
CITATION, LICENCE = "CITATION.cff", "LICENSE"
OPTIONAL = (CITATION, LICENCE)
"""Files that a frozen model has where its makers gave them."""

OF_THE_HUB = (".gitattributes", ".cache")
"""What Hugging Face adds: the first to a repository, the second to a folder that it is downloaded to."""

NOT_IN_FROZEN = (FROZEN, SUMS)
"""Files that frozen.json does not list."""

ATTACHMENT, SELECTION, SELECTION_FACTS = "attachment.json", "selection", "selection/selection.json"
"""In the folder of an attachment, beside gates.jsonl and SHA256SUMS: its facts, and the selection function."""

OF_ATTACHMENT = {"kind": "attachment", "format": 1, "level": "selection"}
"""Constant fields of attachment.json."""

TOLERANCE = 1e-3
"""Maximum difference from a golden logit: rounding differs between processors and library versions."""

CONSTANT = {"kind": "frozen", "golden_tolerance": TOLERANCE}
"""Constant fields of frozen.json, beside its format."""

CALIBRATION = ("kind", "slope", "bias", "fitted_on")
"""Fields of the evaluation's calibration stored in thresholds.json."""

READ_ONLY = 0o444


def expected_files(members: int, optional: Sequence[str] = ()) -> list[str]:
    """Names of the files of a frozen model, sorted, relative to its folder; without SHA256SUMS and signature.

    `optional` are those of `OPTIONAL` that it has.
    """
    folders = [""] if members == 1 else [f"member-{k}/" for k in range(members)]
    weights = [folder + name for folder in folders for name in (WEIGHTS, PROGRAM)]
    return sorted([*weights, FROZEN, THRESHOLDS, METRICS, PROVENANCE, GATES, GOLDEN, CARD, *optional])


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_of(folder: Path, names: list[str]) -> str:
    """The text of SHA256SUMS, in the format of sha256sum."""
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in names)


def parse_sums(text: str) -> dict[str, str] | None:
    """Digest by file name; None if the text is not in the format of `sums_of`."""
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
    """Contents of a folder: regular files, and everything else (links, devices, empty folders)."""

    files: list[str]
    odd: list[str]


def contents_of(folder: Path) -> FolderContents:
    """Everything below a folder, relative to it, except the ledger of `lensctl sync` and what Hugging Face adds.

    Links are not followed.
    """
    files, odd = [], []
    for root, folders, names in os.walk(folder):
        if Path(root) == folder:
            folders[:] = [name for name in folders if name not in OF_THE_HUB or (folder / name).is_symlink()]
            names = [name for name in names if name not in OF_THE_HUB or (folder / name).is_symlink()]
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
    """Write SHA256SUMS and make every file read-only, for those who may read it."""
    (folder / SUMS).write_text(sums_of(folder, names), encoding="utf-8")
    for name in (*names, SUMS):
        (folder / name).chmod((folder / name).stat().st_mode & READ_ONLY)
