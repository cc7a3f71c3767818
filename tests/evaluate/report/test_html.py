"""report.html: one file that fetches nothing, whose numbers are for people and whose names are text."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lensctl.evaluate.evaluation import evaluation_of
from lensctl.evaluate.report.gallery import galleries_shown
from lensctl.evaluate.report.html import render, said
from lensctl.evaluate.report.plots import PLOTS
from lensctl.io.html.pages import number
from tests.evaluate.toys import QUICK, column, rescored, write
from tests.toys.manifests import with_rows
from tests.toys.pages import Page, faults
from tests.toys.scores import restamped, toy_scores


def test_the_report_shows_an_ensembles_spread_beside_the_interval():
    found = evaluation_of(toy_scores(members=3), QUICK)
    html = render(found, {}, {})
    row = html.split("<td>AUC</td>")[1].split("</tr>")[0]
    spread = found.metrics["ensemble"]["spread"]["auc"]
    for value in (found.metrics["headline"]["test_auc"]["low"], spread["low"], spread["high"], spread["sd"]):
        assert number(value, 4) in row


class Reader(HTMLParser):
    """Checks that tags close, and gathers what a page would fetch."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.links, self.ids = [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [values["src"]] if "src" in values else []
        self.fetched += [values["href"]] if tag == "link" else []
        self.links += [values["href"]] if tag == "a" else []
        self.ids += [values["data-galaxy-id"]] if "data-galaxy-id" in values else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_file_that_fetches_nothing(tmp_path, found):
    html = (write(tmp_path, found) / "report.html").read_text()
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    assert all(source.startswith("data:image/") for source in reader.fetched)
    assert len([source for source in reader.fetched if source.startswith("data:image/jpeg")]) == len(reader.ids)
    assert all(link.startswith(("https://www.legacysurvey.org/viewer?ra=", "#")) for link in reader.links)
    assert found.tables["top"]["galaxy_id"][0].as_py() in reader.ids
    assert "url(" not in html
    assert "@import" not in html


def test_those_who_hear_the_report_or_use_keys_alone_find_everything(tmp_path, found, wide):
    html = (write(tmp_path, found) / "report.html").read_text()
    assert faults(html) == []
    assert faults(render(wide, {}, {})) == []
    read = Page(html)
    assert len(read.captions) > 15
    auc = number(found.metrics["ranking"]["test"]["auc"]["value"], 4)
    assert f"ROC curves: the AUC on test is {auc}." in read.alts
    assert any(alt.startswith("Colour cutout of a lens of tier A, with p 0.") for alt in read.alts)


@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_has_a_caption_and_says_what_is_seen(found, plot):
    caption, seen = said(plot, found)
    assert len(caption.split()) > 4
    assert re.search(r"\d", seen)
    assert "None" not in seen + caption


def test_without_pixels_the_report_says_so(found):
    html = render(found, {}, {}, "no pixels in reach")
    assert "no pixels in reach" in html


def test_names_in_the_data_cannot_inject_markup(scores):
    row = int(np.argmax(np.where(column(scores, "split") == "test", scores["logit"].to_numpy(), -99)))
    nasty = with_rows(scores, [row], galaxy_id='"><script>alert(1)</script>')
    html = render(evaluation_of(restamped(nasty), QUICK), {}, {})
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 3, "–"),
        (float("nan"), 3, "–"),
        (0.12345, 3, "0.123"),
        (-0.5, 2, "−0.50"),
        (2e-7, 3, "2.0e-07"),
        (0, 3, "0.000"),
    ],
)
def test_numbers_for_people(value, digits, text):
    assert number(value, digits) == text


def test_each_gallery_says_how_many_of_it_are_mistakes(found):
    html = render(found, {}, {})
    for name, part in galleries_shown(found).items():
        wrong = sum((logit >= 0) != is_lens for logit, is_lens in zip(part.logit, part.is_lens, strict=True))
        assert (
            f"{name[0].upper()}{name[1:]} ({len(part)} shown, {wrong} misclassified at p = 0.5)".replace(
                "others", "non-lenses"
            )
            in html
        )


def test_the_report_of_another_survey_names_its_bands_and_no_viewer(wide, found):
    html, usual = render(wide, {}, {}), render(found, {}, {})
    for text in ("exposures in VIS", "PSF in VIS", "depth in VIS"):
        assert text in html
    assert "exposures in z" in usual
    assert "nobs 6-10" in html
    assert ("sky viewer" in usual, "sky viewer" in html) == (True, False)
    assert "legacysurvey.org" not in html


def test_a_rate_that_is_not_resolved_and_a_count_of_none_are_shown_as_what_is_known(scores, found):
    html = render(found, {}, {})
    others = found.metrics["rows"]["val"]["others"]
    total = others["N1"] + others["N2"]
    assert f"not resolved: {1e-4 * total:.2g} false positives are expected of {total} non-lenses" in html
    assert f"0 of {total}: below " in html
    none = (column(scores, "split") == "test") & (scores["label"].to_numpy() == 0)
    clean = render(evaluation_of(restamped(rescored(scores, none, -20.0)), QUICK), {}, {})
    tile = clean.split("FPR at p = 0.5, all galaxies</span>")[1].split("</div>")[0]
    assert tile == "<b>0 of 300</b><span>below 0.010 at 95 %</span>"


@pytest.mark.parametrize("verdict", ["reached", "not told", "missed"])
def test_the_verdict_stands_in_its_word(found, verdict):
    changed = {**found.metrics["levels"], "mvp": {**found.metrics["levels"]["mvp"], "verdict": verdict}}
    html = render(dataclasses.replace(found, metrics={**found.metrics, "levels": changed}), {}, {})
    kind = {"reached": "yes", "missed": "no", "not told": "soft"}[verdict]
    assert f'Level mvp: <span class="{kind}">{verdict}</span>' in html


def test_the_floor_of_a_calibration_error_stands_beside_it(found):
    error = found.metrics["headline"]["ece_positive"]
    html = render(found, {}, {})
    assert f"{number(error['floor']['median'], 4)} ({number(error['floor']['p95'], 4)})" in html
    assert f"{number(error['excess']['low'], 4)} to {number(error['excess']['high'], 4)}" in html
