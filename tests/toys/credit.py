"""The two files by which the makers of a toy model say whom to cite, and what others may do with it."""

from __future__ import annotations

from pathlib import Path

CFF = """cff-version: 1.2.0
message: Cite it like this.
title: A finder of toy lenses
authors:
  - name: The makers of the toy
license: CC-BY-4.0
"""
TEXT = "Creative Commons Attribution 4.0 International\n"


def write_credit(folder: Path, citation: str = CFF, licence: str = TEXT) -> tuple[Path, Path]:
    """CITATION.cff and LICENSE in a folder."""
    (folder / "CITATION.cff").write_text(citation)
    (folder / "LICENSE").write_text(licence)
    return folder / "CITATION.cff", folder / "LICENSE"
