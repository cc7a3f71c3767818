"""Where a real browser is, and why a test is skipped where there is none."""

from __future__ import annotations

import shutil

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine (Debian: apt install chromium)")

STRANDED = """() => [...document.querySelectorAll("h2, h3, summary, caption, thead, h2 + p, h3 + p, summary + p")]
    .filter((part) => getComputedStyle(part).breakAfter !== "avoid").map((part) => part.textContent.slice(0, 40))"""
"""JavaScript: headings, and paragraphs that follow them, after which a page of paper may end."""
