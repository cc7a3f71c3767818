"""What lies in a folder, to be compared with another."""

from __future__ import annotations

import hashlib
from pathlib import Path


def tree(folder):
    """Every file below a folder, by its path in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def folder_digest(folder: str | Path) -> str:
    """SHA-256 of the names and contents of all files below a folder."""
    total = hashlib.sha256()
    for name, content in tree(Path(folder)).items():
        total.update(f"{name}\n{len(content)}\n".encode() + content)
    return total.hexdigest()
