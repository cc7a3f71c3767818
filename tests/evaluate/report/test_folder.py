"""The folder of an evaluation holds everything, and the same bytes twice."""

from __future__ import annotations

import json

import numpy as np

from lensctl.astro.rgb import lupton_rgb
from lensctl.evaluate.evaluation import evaluation_of
from lensctl.evaluate.report import folder, pictures, plots
from lensctl.io.tables.files import read_table
from tests.evaluate.toys import QUICK, write
from tests.toys.surveys import WIDE


def test_the_folder_holds_everything_and_the_same_bytes_twice(tmp_path, scores, found):
    first = write(tmp_path, found)
    second = write(tmp_path, evaluation_of(scores, QUICK), "again")
    names = sorted(str(file.relative_to(first)) for file in first.rglob("*") if file.is_file())
    assert [name for name in names if "/" not in name] == ["metrics.json", "report.html"]
    assert {name for name in names if name.startswith("plots/")} == {
        f"plots/{plot}.{kind}" for plot in plots.PLOTS for kind in ("png", "pdf")
    }
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    kept = json.loads((first / "metrics.json").read_text())
    assert kept["headline"] == json.loads(json.dumps(found.metrics["headline"]))
    strata = read_table(str(first / "tables" / "strata.parquet"))
    assert strata.equals(found.tables["strata"])
    assert read_table(str(first / "tables" / "strata.csv")).num_rows == strata.num_rows


def test_pictures_show_the_picture_bands_of_the_survey(tmp_path, wide, monkeypatch):
    seen = []
    monkeypatch.setattr(
        pictures, "lupton_rgb", lambda images, survey: seen.append(survey) or lupton_rgb(images, survey)
    )
    monkeypatch.setattr(plots, "PLOTS", {"recall_by_stratum": plots.PLOTS["recall_by_stratum"]})
    out = tmp_path / "out"
    out.mkdir()
    assert folder.write(wide, out, lambda rows: np.ones((len(rows), 9, 9, 4), np.float32)) > 10
    assert set(seen) == {WIDE}
