"""What lies in a folder, to be compared with another."""

from __future__ import annotations


def tree(folder):
    """Every file below a folder, by its path in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
