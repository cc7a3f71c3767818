"""report.html of a selection function in a real browser: on a screen, on a phone, on paper."""

from __future__ import annotations

import pytest

from tests.toys.browsers import STRANDED, needs_browser

pytestmark = needs_browser

HEADINGS = (
    "Thresholds", "Injections found and missed", "p_det in maps", "p_det along each axis", "Conditions",
    "What arcs do to the score", "Controls", "Sensitivity", "Realism", "Closure on real lenses", "Failure modes",
    "How to apply it", "Parent factor", "Limits", "Rows and provenance",
)  # fmt: skip


@pytest.fixture
def opened(browser, whole):
    """Open the report on a screen of some width; nothing may go wrong, and nothing be fetched, meanwhile."""
    fetched, wrong, contexts = [], [], []

    def open_report(width):
        contexts.append(browser.new_context(viewport={"width": width, "height": 844}))
        page = contexts[-1].new_page()
        page.on("request", lambda request: fetched.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((whole[0] / "report.html").as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert wrong == []
    assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []


def test_every_section_is_there_and_every_picture_is_drawn(opened):
    page = opened(1400)
    assert page.locator("h2").all_inner_texts() == list(HEADINGS)
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
    assert all(page.evaluate("[...document.images].map((image) => image.complete && image.naturalWidth > 0)"))


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_nothing_but_tables_and_wide_plots_scrolls_sideways(opened, width):
    page = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    too_wide = page.evaluate(
        """(width) => [...document.querySelectorAll("body *:not(.scroll *)")]
        .filter((part) => part.getBoundingClientRect().right > width + 1).map((part) => part.tagName)""",
        width,
    )
    assert too_wide == []


def test_tables_sort_and_paper_has_everything(opened):
    page = opened(1400)
    head = page.locator("th", has_text="share of what is missed").first
    values = "(th) => [...th.closest('table').tBodies[0].rows].map((row) => Number(row.cells[4].dataset.value))"
    head.locator("button").click()
    assert head.evaluate(values) == sorted(head.evaluate(values), reverse=True)
    head.locator("button").click()
    assert head.evaluate(values) == sorted(head.evaluate(values))
    page.emulate_media(media="print")
    assert page.evaluate(STRANDED) == []
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.pdf(format="A4").startswith(b"%PDF")
