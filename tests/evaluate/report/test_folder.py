"""The folder of an evaluation holds everything, and the same bytes twice."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from lensctl.astro.rgb import lupton_rgb
from lensctl.evaluate.evaluation import evaluation_of
from lensctl.evaluate.report import folder, plots
from lensctl.io.html import pictures
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


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_no_text_of_a_csv_for_people_is_a_formula_and_nothing_else_changes(kind):
    texts = ["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-2+3", "\t=1", "\r=1", "a=b", "'x", "", None, "é"]
    table = pa.table({"t": pa.array(texts, kind), "x": pa.array([-1.5] * 11)})
    shown = folder.for_people(table)
    assert shown["t"].to_pylist() == [f"'{text}" for text in texts[:6]] + texts[6:]
    assert (shown.schema, shown["x"]) == (table.schema, table["x"])


def test_the_tables_of_an_evaluation_are_defused_as_csv_and_whole_as_parquet(tmp_path, found):
    evil = dataclasses.replace(found, tables={**found.tables, "top": pa.table({"galaxy_id": ["=1+1"]})})
    out = write(tmp_path, evil)
    assert '"\'=1+1"' in (out / "tables" / "top.csv").read_text()
    assert read_table(str(out / "tables" / "top.parquet"))["galaxy_id"].to_pylist() == ["=1+1"]
