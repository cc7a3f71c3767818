"""What every page must be: in the navigation, linked soundly, and with commands that lensctl takes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lensctl.rules import acceptance
from lensctl.stats import few_lenses, intervals, shares
from tests.docs.pages import DOCS, OUTSIDE, PAGES, ROOT, commands, parse, slugs

README = (ROOT / "README.md").read_text()
COMMANDS = [(page, line) for page in [*OUTSIDE, *PAGES] for line in commands(page.read_text())]


def nav() -> list[str]:
    """The pages in the navigation of mkdocs.yml, in order."""

    def within(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for each in (entry.values() if isinstance(entry, dict) else entry) for page in within(each)]

    return within(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])


def test_every_page_is_in_the_navigation_once():
    assert sorted(nav()) == [str(page.relative_to(DOCS)) for page in PAGES]


def test_readme_is_short_and_shows_two_pictures_and_six_commands():
    assert len(README.splitlines()) <= 120
    pictures = re.findall(r"^!\[.+\]\((.+)\)$", README, re.MULTILINE)
    assert len(pictures) == 2
    assert [name for name in pictures if not 0 < (ROOT / name).stat().st_size < 500_000] == []
    part = README.split("## From a survey to candidates")[1].split("\n## ")[0]
    assert [line.split()[1] for line in commands(part)] == ["crossmatch", "pool", "sample", "train", "freeze", "search"]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page.stem}: {line[:60]}" for page, line in COMMANDS])
def test_a_command_on_a_page_is_one_that_lensctl_takes(page, line, monkeypatch):
    monkeypatch.chdir(ROOT)
    parse(line)


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_outside_of_the_built_pages_lead_somewhere(page):
    """mkdocs checks those of docs/."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if path.startswith("http"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in slugs(target.read_text())):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_list_or_a_table_begins_after_a_blank_line(page):
    """Where it does not, GitHub shows a list, and the built page a run of words."""
    text = re.sub(r"^ *```.*?^ *```", "```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines()
    lists = [b for a, b in itertools.pairwise(lines) if re.match(r"(- |\d+\. )", b) and re.match(r"[^\s#\-\d]", a)]
    tables = [b for a, b in itertools.pairwise(lines) if b.startswith("|") and re.match(r"[^|#]", a)]
    assert (lists, tables) == ([], [])


def test_the_page_on_evaluation_has_the_limits_of_the_code():
    text = (DOCS / "science" / "evaluation.md").read_text()
    limits = acceptance.LEVELS["mvp"]
    rows = re.findall(r"^\| [^|]+ \| (?:≥|≤) ([\d.]+) \| (?:≥ ([\d.]+))? ?\|$", text, re.MULTILINE)
    names = ("min_recall", "min_auc", "max_fpr", "max_ece", "max_ece_positive")
    assert [float(mvp) for mvp, _ in rows] == [limits[name] for name in names]
    assert [float(other) for _, other in rows if other] == list(acceptance.LEVELS["publication"].values())
    assert (
        f"AUC of fewer than {few_lenses.FEW_LENSES} lenses, or lenses in fewer than {few_lenses.FEW_LENS_PIXELS} pixels"
        in text
    )
    assert (shares.MIN_PIXELS, intervals.FEW, intervals.ROUNDS) == (10, 10, 2000)
    assert "2,000 rounds" in text


def test_nothing_names_a_folder_of_one_machine():
    for page in [*OUTSIDE, *PAGES, Path(ROOT / "mkdocs.yml")]:
        assert re.search(r"(?<![\w/])/(work|root|home)/", page.read_text()) is None, page
