"""report.html in a real browser: opened from disk, on a screen, on a phone, on paper, and graded."""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pytest

from lensctl.cli.main import main
from lensctl.evaluate import against
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.report import folder, plots
from lensctl.io.tables.files import read_table, write_table
from tests.toys import catalogs as toys
from tests.toys.browsers import STRANDED, needs_browser
from tests.toys.scores import toy_pixels, toy_scores

pytestmark = needs_browser


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with scores.parquet and evaluation/, whose report has every section."""
    place = tmp_path_factory.mktemp("report")
    scores = toy_scores(200, 800, members=2)
    write_table(scores, str(place / "scores.parquet"))
    write_table(toy_scores(200, 800, seed=0, members=1), str(place / "b.parquet"))
    other = against.read_other(str(place / "b.parquet"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "PLOTS", {name: plots.PLOTS[name] for name in ("roc", "recall_by_stratum")})
        (place / "evaluation").mkdir()
        found = evaluation_of(scores, Choices(rounds=100, top=20, prevalence=1e-3), other=other)
        folder.write(found, place / "evaluation", toy_pixels)
    return place


@pytest.fixture
def opened(browser, made):
    """Open the report; gives what opens it with some screen, and what was fetched and what went wrong meanwhile."""
    fetched, wrong, contexts = [], [], []

    def open_report(**screen):
        context = browser.new_context(accept_downloads=True, **screen)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: fetched.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto((made / "evaluation" / "report.html").as_uri())
        return page

    open_report.fetched, open_report.wrong = fetched, wrong
    yield open_report
    for context in contexts:
        context.close()
    assert wrong == []
    assert [url for url in fetched if not url.startswith(("file:", "data:", "blob:"))] == []


def card(page, number, gallery="top 20"):
    return page.locator(f'[data-gallery="{gallery}"] .galaxy').nth(number)


def grade_of(page, number):
    return card(page, number).get_attribute("data-grade")


def test_it_opens_from_disk_shows_its_pictures_and_fetches_nothing(opened):
    page = opened()
    assert page.locator("h1").inner_text() == "Evaluation of scores.parquet"
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
    drawn = page.evaluate("[...document.images].map((image) => image.complete && image.naturalWidth > 0)")
    assert len(drawn) > 40
    assert all(drawn)
    assert [url for url in opened.fetched if url.startswith("file:")] == [page.url]
    for heading in (
        "Verdict",
        "Strata",
        "Calibration",
        "Ensemble",
        "On the sky",
        "Compared with b.parquet",
        "Galleries",
    ):
        assert page.get_by_role("heading", name=heading, exact=True).is_visible()


def test_every_table_sorts_by_number_or_text_and_what_is_missing_stays_last(opened):
    page = opened()
    heads = page.locator("table:has(thead) th")
    assert heads.count() == page.locator("table.sortable th button").count() > 60
    table = page.locator("h3:has-text('By tier') + .scroll table")
    recall = table.locator("th", has_text="recall")

    def column(number):
        return [None if text == "–" else text for text in table.locator(f"td:nth-child({number})").all_inner_texts()]

    recall.locator("button").click()
    values = [float(text.split()[0].rstrip("*")) if text else None for text in column(4)]
    assert recall.get_attribute("aria-sort") == "descending"
    assert values[2:] == [None, None]
    assert values[0] >= values[1]
    recall.locator("button").click()
    again = [float(text.split()[0].rstrip("*")) if text else None for text in column(4)]
    assert again == [values[1], values[0], None, None]
    table.locator("th button").first.focus()
    page.keyboard.press("Enter")
    assert column(1) == ["A", "B", "N1", "N2"]
    page.keyboard.press("Enter")
    assert column(1) == ["N2", "N1", "B", "A"]
    assert recall.get_attribute("aria-sort") is None


def test_numbers_sort_as_numbers_in_every_column_of_every_table(opened):
    columns = opened().evaluate(
        """() => [...document.querySelectorAll("table.sortable")].flatMap((table) =>
        [...table.tHead.rows[0].cells].flatMap((head, k) => {
            if (!head.classList.contains("number")) return [];
            head.querySelector("button").click();
            return [[...table.tBodies[0].rows].map((row) => row.cells[k].dataset.value).filter((text) => text !== "")];
        }))"""
    )
    assert len(columns) > 50
    assert any(float(value) < 0 for column in columns for value in column)
    for column in columns:
        values = [float(text) for text in column]
        assert values == sorted(values, reverse=True)


def test_keys_grade_move_on_and_take_back(opened):
    page = opened()
    card(page, 0).focus()
    for key in ("a", "n", "c"):
        page.keyboard.press(key)
    assert [grade_of(page, k) for k in range(4)] == ["A", "not", "C", None]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("u")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("B")
    assert [grade_of(page, k) for k in range(4)] == ["A", "not", None, "B"]
    page.keyboard.press("Control+c")
    assert grade_of(page, 4) is None
    assert page.locator("#graded-count").inner_text().endswith("galaxies graded: A 1, B 1, C 0, not 1")


def test_a_key_that_grades_moves_on_to_the_next_gallery_and_an_arrow_skips_none(opened):
    page = opened()
    cards = page.locator(".galaxy")
    first = page.locator('[data-gallery="top 20"] .galaxy').count()
    assert cards.count() > first + 2
    cards.nth(first - 1).focus()
    page.keyboard.press("a")
    page.keyboard.press("n")
    assert [cards.nth(k).get_attribute("data-grade") for k in (first - 1, first)] == ["A", "not"]
    seen = [page.evaluate(HERE)]
    for _ in range(cards.count()):
        page.keyboard.press("ArrowRight")
        seen.append(page.evaluate(HERE))
    last = cards.count() - 1
    assert seen == [*range(first + 1, last + 1), *[last] * (len(seen) - (last - first))]
    for _ in range(cards.count()):
        page.keyboard.press("ArrowLeft")
    assert page.evaluate(HERE) == 0


HERE = "[...document.querySelectorAll('.galaxy')].indexOf(document.activeElement)"


def test_links_of_the_contents_lead_to_their_sections(opened):
    page = opened()
    for link in page.locator(".contents a").all():
        link.click()
        title = page.locator(page.evaluate("location.hash") + " h2")
        assert title.inner_text() == link.inner_text()
        assert title.evaluate("(title) => title.getBoundingClientRect().top < innerHeight")


def test_a_galaxy_has_its_grade_in_every_gallery_that_shows_it(opened):
    page = opened()
    twice = page.evaluate(
        """() => { const seen = {}; for (const c of document.querySelectorAll(".galaxy"))
        (seen[c.dataset.galaxyId] ??= []).push(c); return Object.keys(seen).find((id) => seen[id].length > 1); }"""
    )
    cards = page.locator(f'.galaxy[data-galaxy-id="{twice}"]')
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
    cards.first.get_by_role("button", name="B", exact=True).click()
    assert [c.get_attribute("data-grade") for c in cards.all()] == ["B"] * cards.count()
    assert cards.nth(1).get_by_role("button", name="B", exact=True).get_attribute("aria-pressed") == "true"
    cards.nth(1).get_by_role("button", name="B", exact=True).click()
    assert cards.first.get_attribute("data-grade") is None


def test_grades_persist_and_are_forgotten_only_when_that_is_confirmed(opened):
    page = opened()
    card(page, 0).focus()
    page.keyboard.press("a")
    page.reload()
    assert grade_of(page, 0) == "A"
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("#forget").click()
    assert grade_of(page, 0) == "A"
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#forget").click()
    page.reload()
    assert grade_of(page, 0) is None


def test_where_the_browser_keeps_nothing_the_page_says_so_and_grades_still_download(opened):
    page = opened()
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })")
    page.reload()
    card(page, 0).focus()
    page.keyboard.press("a")
    assert grade_of(page, 0) == "A"
    assert "download them before leaving" in page.locator("#graded-count").inner_text()


def downloaded(page, path):
    with page.expect_download() as waiting:
        page.locator("#download").click()
    waiting.value.save_as(path)
    assert waiting.value.suggested_filename == "grades.csv"
    return list(csv.DictReader(path.read_text().splitlines()))


def sweep_at(rows, path):
    """A sweep with one good object at each position."""
    table = toys.rows(len(rows))
    fixed = {
        "ra": [float(row["ra"]) for row in rows],
        "dec": [float(row["dec"]) for row in rows],
        "type": ["SER"] * len(rows),
    }
    fixed |= {name: [0] * len(rows) for name in ("maskbits",)} | {f"nobs_{band}": [5] * len(rows) for band in "grz"}
    for name, values in fixed.items():
        kind = table.schema.field(name).type
        table = table.set_column(table.column_names.index(name), name, pa.array(values).cast(kind))
    return toys.write_fits(toys.in_bricks(table), path)


def test_the_downloaded_grades_are_read_by_the_commands_that_close_the_loop(
    opened, browser, made, tmp_path, monkeypatch, capfd
):
    page = opened()
    false = page.locator('[data-gallery="highest-scored others: ring_proxy"]')
    false.locator("summary").click()
    false.locator(".galaxy").first.focus()
    for key in ("a", "b", "c", "n"):
        page.keyboard.press(key)
    rows = downloaded(page, tmp_path / "grades.csv")
    assert [row["grading"] for row in rows] == ["A", "B", "C", "not"]
    assert {row["label"] for row in rows} == {"0"}
    scores = {row["galaxy_id"]: row for row in read_table(str(made / "scores.parquet")).to_pylist()}
    for row in rows:
        galaxy = scores[row["galaxy_id"]]
        assert (float(row["ra"]), float(row["dec"]), float(row["p"])) == (galaxy["ra"], galaxy["dec"], galaxy["p"])

    monkeypatch.chdir(tmp_path)
    sweep = str(sweep_at(rows, tmp_path / "sweep-1.fits"))
    assert main(["crossmatch", "grades.csv", sweep, "positives.parquet", "--workers", "1"]) == 0
    positives = read_table("positives.parquet").to_pylist()
    assert sorted((row["lens_ra"], row["tier"]) for row in positives) == sorted(
        (float(row["ra"]), row["grading"]) for row in rows[:2]
    )
    assert main(["pool", sweep, "pool.parquet", "--lenses", "grades.csv", "--workers", "1"]) == 0
    assert read_table("pool.parquet")["ra"].to_pylist() == [float(rows[3]["ra"])]
    quick = ["--rounds", "100", "--top-k", "5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "PLOTS", {})
        code = main(["evaluate", str(made / "scores.parquet"), "again", "--grades", "grades.csv", *quick])
    assert code == 0
    graded = json.loads((tmp_path / "again" / "metrics.json").read_text())["grades"]
    assert graded["left_out_of_test"] == {"others_that_are_lenses": 2, "lenses_that_are_none": 0}
    assert "4 of 4 graded galaxies are among the scores" in capfd.readouterr().err

    elsewhere = browser.new_page()  # a browser that knows of no grades
    elsewhere.goto((tmp_path / "again" / "report.html").as_uri())
    first = elsewhere.locator(f'.galaxy[data-galaxy-id="{rows[0]["galaxy_id"]}"]').first
    assert first.get_attribute("data-grade") == "A"
    first.evaluate("(card) => card.dispatchEvent(new KeyboardEvent('keydown', { key: 'u' }))")
    elsewhere.reload()
    assert first.get_attribute("data-grade") is None
    elsewhere.context.close()


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone_nothing_but_wide_tables_scrolls_sideways_and_a_tap_grades(opened, width):
    page = opened(viewport={"width": width, "height": 844}, is_mobile=True, has_touch=True, device_scale_factor=2)
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.visualViewport.width") == pytest.approx(width, abs=1)
    too_wide = page.evaluate(
        """(width) => [...document.querySelectorAll("body *:not(.scroll *)")]
        .filter((part) => part.getBoundingClientRect().right > width + 1).map((part) => part.className)""",
        width,
    )
    assert too_wide == []
    button = card(page, 0).get_by_role("button", name="not")
    small = page.evaluate(
        """() => [...document.querySelectorAll(".keys button, .bar button, .contents a")]
        .map((each) => each.getBoundingClientRect()).filter((box) => box.height < 44).length"""
    )
    assert small == 0
    assert button.bounding_box()["width"] >= 44
    button.tap()
    assert grade_of(page, 0) == "not"


def test_on_paper_every_gallery_is_open_and_nothing_is_there_to_press(opened, tmp_path):
    page = opened()
    card(page, 0).focus()
    page.keyboard.press("a")
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    assert not page.locator(".keys").first.is_visible()
    assert page.evaluate(STRANDED) == []
    said = "(k) => getComputedStyle(document.querySelectorAll('.galaxy')[k], '::after').content"
    assert "graded" in page.evaluate(said, 0)
    assert page.evaluate(said, 1) == "none"
    closed = page.locator("details:not([open])").count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == closed > 3
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_in_the_dark_text_stays_readable(opened):
    page = opened(color_scheme="dark")
    ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    light, dark = (sum(map(int, value[4:-1].split(","))) for value in (ink, paper))
    assert light - dark > 450
