"""The report of a search says what was found, shows it, and lets it be graded."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.html.pages import number
from lensctl.rules.survey import LS_DR10
from lensctl.search import search
from lensctl.search.report import page
from tests.toys import searches
from tests.toys.pages import Page, faults

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def out(here: Path) -> Path:
    options = {"root": "sky", "device": "cpu", "workers": 1, "keep": 12, "lenses": "lenses.csv", "criteria": "none"}
    search("frozen", "t.parquet", "out", **options)
    return here / "out"


def test_it_holds_every_figure_and_a_picture_of_each_system(out):
    text, made = (out / "report.html").read_text(), searches.summary(out)
    leaders = pq.read_table(out / "candidates.parquet")
    cards = re.findall(r'<figure class="galaxy" tabindex="0" data-galaxy-id="([^"]+)"', text)
    assert cards == leaders["galaxy_id"].to_pylist()
    assert text.count("data:image/jpeg;base64") == leaders.num_rows
    assert text.count("data:image/svg+xml;base64") == 1
    for status, count in made["rows"]["status"].items():
        if status != "ok":
            assert re.search(rf"no score: {status.replace('_', ' ')}</td><td[^>]*>{count}<", text)
    for point in made["thresholds"]:
        assert point["name"].replace("fpr=", "FPR ").replace("=", " = ") in text
        if point["per_deg2"] and (point["per_deg2"]["value"] or 0) >= 100:
            assert f">{point['per_deg2']['value']:,.0f}" in text, "no decimals that say nothing"
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "localStorage" in text  # grades are kept
    assert 'data-ref="visual inspection of a search with frozen"' in text


def test_those_who_hear_it_or_use_keys_alone_find_everything(out):
    text = (out / "report.html").read_text()
    assert faults(text) == []
    alts = Page(text).alts
    assert (
        f"Map of the sky: {number(searches.summary(out)['area']['searched_deg2'], 2)} square degrees searched"
        in alts[0]
    )
    assert alts[1].startswith("Colour cutout of candidate 1, with p ")


def test_known_lenses_are_named_and_what_was_missed_is_listed(out):
    text = (out / "report.html").read_text()
    lenses = pq.read_table(out / "known_lenses.parquet").to_pylist()
    for row in lenses:
        if row["rank"] is None and row["in_searched_area"]:
            assert f"<td>{row['name']}</td>" in text
        if row["rank"] is not None:
            assert f'<span class="known">{row["name"]}' in text
    assert "tier A, unseen" in text


def test_the_funnel_ends_with_the_systems_of_the_list(out):
    made = searches.summary(out)
    funnel = page._funnel(made)
    assert funnel[0]["remaining"] == made["rows"]["searched"]
    for before, after in itertools.pairwise(funnel):
        assert after["remaining"] == before["remaining"] - after["removed"]
    assert funnel[-1]["remaining"] == made["candidates"]["systems"]


def test_what_a_catalogue_says_is_no_html(here, out):
    leaders = pq.read_table(out / "candidates.parquet")
    evil = ["<script>alert(1)</script>"] * leaders.num_rows
    spoiled = leaders.set_column(leaders.column_names.index("known_lens"), "known_lens", pa.array(evil))
    text = page.render(searches.summary(out), spoiled, ["data:,"] * leaders.num_rows, None, "data:,", LS_DR10)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
