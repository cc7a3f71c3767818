"""The report of a search in a real browser: it fetches nothing, fits any screen, and its keys grade."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lensctl.rules.survey import LS_DR10
from lensctl.search import search
from lensctl.search.report import page as of_page
from tests.toys import searches
from tests.toys.browsers import STRANDED, needs_browser

pytestmark = [
    needs_browser,
    pytest.mark.usefixtures("tiny_network"),
]
LONG = "DESI-028.4788-14.0855|MOCKJ028.48-14.09|" + "J" * 60


@pytest.fixture
def report(here: Path) -> Path:
    """A report in which every candidate is a known lens of a long name."""
    search("frozen", "t.parquet", "out", root="sky", device="cpu", workers=1, keep=12, lenses="lenses.csv")
    from lensctl.io.tables.files import read_table

    leaders = read_table("out/candidates.parquet")
    names = pa.array([LONG] * leaders.num_rows, pa.string())
    leaders = leaders.set_column(leaders.column_names.index("known_lens"), "known_lens", names)
    blank = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
    lenses = read_table("out/known_lenses.parquet")
    text = of_page.render(searches.summary(here / "out"), leaders, [blank] * leaders.num_rows, lenses, blank, LS_DR10)
    (here / "report.html").write_text(text)
    return here / "report.html"


@pytest.mark.parametrize("width", [1400, 390])
def test_it_fits_the_screen_fetches_nothing_and_is_graded_by_keys(report, browser, width):
    fetched, wrong = [], []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.on("request", lambda request: fetched.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(report.as_uri())
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    cards = page.locator(".galaxy")
    cards.first.focus()
    for key in ("a", "n"):
        page.keyboard.press(key)
    grades = [cards.nth(k).get_attribute("data-grade") for k in range(3)]
    heights = "[...document.querySelectorAll('.keys button')].map((each) => each.getBoundingClientRect().height)"
    least = min(page.evaluate(heights))
    page.emulate_media(media="print")
    stranded = page.evaluate(STRANDED)
    page.close()
    assert wide == seen
    assert grades == ["A", "not", None]
    assert stranded == []
    assert width > 600 or least >= 44
    assert wrong == []
    assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []
