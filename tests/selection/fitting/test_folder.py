"""report.html as `selection fit` writes it: one file, with the figures of its tables, and pictures if it has some."""

from __future__ import annotations

import json

import numpy as np
from astropy.io import fits

from lensctl.io.cutouts.store import open_store
from lensctl.io.html.pages import number
from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table
from lensctl.selection.fitting import fitting
from lensctl.selection.p_det.detection import of_dict
from lensctl.selection.report.pictures import Pictured
from tests.toys.measured_injections import fitted
from tests.toys.pages import Page


def test_the_report_is_one_file_that_fetches_nothing_and_describes_its_pictures(whole):
    html = (whole[0] / "report.html").read_text()
    read = Page(html)
    assert read.open == []
    assert len(read.fetched) == 6
    assert all(source.startswith("data:image/svg+xml;base64,") for source in read.fetched)
    assert all(read.alts)
    assert all(link.startswith("#") for link in read.links)
    assert "url(" not in html
    assert "@import" not in html


def test_every_section_has_the_figures_of_its_table(whole):
    html = (whole[0] / "report.html").read_text()
    facts = json.loads((whole[0] / "selection.json").read_text())
    (point,) = facts["thresholds"]
    assert number(point["box_mean"]["value"]) in html
    for name, column in (("controls", "difference"), ("sensitivity", "shift"), ("closure", "difference")):
        for row in read_table(str(whole[0] / f"tables/{name}.parquet")).to_pylist():
            assert f'data-value="{row[column]}"' in html, (name, row)
    modes = read_table(str(whole[0] / "tables/failure_modes.parquet")).to_pylist()
    assert f'data-value="{modes[0]["missed"]}"' in html
    assert facts["model_digest"] in html
    for about in facts["tables"].values():
        assert about["digest"] in html
    assert "The embedding is not judged here" in html
    assert "There are no pictures" in html


def test_the_map_in_fits_is_the_fit_of_selection_json(whole):
    facts = json.loads((whole[0] / "selection.json").read_text())
    detection = of_dict(facts["models"]["p=0.5"], "selection.json")
    with fits.open(whole[0] / "plots" / "map-p-0.5.fits") as file:
        header, p = file["P_DET"].header, file["P_DET"].data
        at = {row["axis"]: np.array([row["value"]]) for row in file["HELD"].data}
    row, column = np.argwhere(np.isfinite(p))[100]
    at["theta_e"] = np.array([10 ** (header["CRVAL1"] + column * header["CDELT1"])])
    at["arc_mag_r"] = np.array([header["CRVAL2"] + row * header["CDELT2"]])
    np.testing.assert_allclose(p[row, column], detection.predict(at).p[0], rtol=1e-9)
    assert header["MODEL"] == facts["model_digest"].removeprefix("sha256:")


def test_pictures_of_found_and_missed_injections_and_their_origin(tables, model, injected, tmp_path, monkeypatch):
    store = open_store(injected)
    place = np.full(3000, -1)
    place[:18] = np.arange(18)
    monkeypatch.setattr(fitting, "pictured", lambda path, table, survey: Pictured(store, place))
    fitted(tables, tmp_path / "out", model, cutouts=injected)
    html = (tmp_path / "out" / "report.html").read_text()
    read = Page(html)
    pictures = [source for source in read.fetched if source.startswith("data:image/jpeg")]
    detected = read_table(str(tmp_path / "out/tables/injections.parquet")).slice(0, 18)["logit"].to_numpy() >= 0
    shown = min(int(detected.sum()), 12) + min(int((~detected).sum()), 12) + min(int((~detected).sum()), 6)
    assert len(pictures) == 3 * shown
    assert all(read.alts)
    assert f"Missed, at p=0.5 ({min(int((~detected).sum()), 12)})" in html
    step = chain_of(read_table(str(tmp_path / "out/tables/cells.parquet")))[-1]
    assert [(one.role, one.digest) for one in step.inputs if one.role == "pictures"] == [("pictures", store.digest)]
    assert "inject" in {step.command for step in chain_of(read_table(str(tmp_path / "out/tables/cells.parquet")))}


def test_a_name_with_signs_of_mathematics_is_text_in_a_plot(tables, toy, model, tmp_path):
    columns = toy.injection_columns(control="$\\frac{")
    table = tmp_path / "control.parquet"
    toy.write(tmp_path, control=toy.stamped(columns))
    fitted(tables, tmp_path / "out", model, control=table)
    assert (tmp_path / "out" / "plots" / "controls.png").is_file()
