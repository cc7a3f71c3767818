"""Names that people give to files and folders: any of them is that file or folder, and no pattern, option or column."""

from __future__ import annotations

import string

from hypothesis import strategies as st

TELLING = [
    "split=val",
    "type=",
    "-rf",
    "--help",
    "~",
    "a b ",
    "[ab]",
    "**",
    "%41",
    "#1",
    "x?y=1",
    "'; --",
    '"',
    "é",
    "e\u0301",
]
NAMES = st.sampled_from(TELLING) | st.text(
    string.ascii_letters + "[]()?*{}!%= '\"#&;$~+,.-|@é銀", min_size=1, max_size=12
).filter(lambda name: name.strip(". ") and name[0] not in "._")
"""Names of files and folders, but for those that are hidden."""
