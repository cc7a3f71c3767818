"""examples/own-survey: its Makefile, as it is, takes a CSV and FITS cutouts of another survey to a report."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lensctl.astro import geometry
from lensctl.io.cutouts.store import open_store
from lensctl.io.tables.files import read_table
from lensctl.rules.survey_file import named_survey
from tests.toys import own_survey

EXAMPLE = own_survey.SURVEY_FILE.parent
SMALL = ("SAMPLE=--negatives-per-positive 1", "TRAIN=--arch shielded --crop 48 --epochs 1 --batch-size 32")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def a_lens(folder: Path) -> int:
    """Number of the catalogue row that lies nearest to any lens."""
    galaxies, lenses = (read_table(str(folder / name)) for name in ("catalog.csv", "lenses.csv"))
    row, apart = geometry.nearest(
        *(lenses[name].to_numpy() for name in ("ra", "dec")),
        *(galaxies[name].to_numpy() for name in ("RAJ2000", "DEJ2000")),
    )
    return int(row[apart.argmin()])


@pytest.fixture(scope="module")
def made(tmp_path_factory, on_the_path):
    """A folder with what somebody has of a survey, and in work/ what the Makefile has made of it."""
    folder = tmp_path_factory.mktemp("own")
    own_survey.make(folder, galaxies=420, lens_count=120)
    (folder / "gates.yaml").write_text("set:\n  - pool.min_rows=100\n")
    damaged = folder / "cutouts" / f"{a_lens(folder)}.fits"
    damaged.write_bytes(damaged.read_bytes()[:7000])
    given = ("CATALOG=catalog.csv", "LENSES=lenses.csv", "CUTOUTS=cutouts", "GATES=gates.yaml")
    done = subprocess.run(
        ["make", "-f", EXAMPLE / "Makefile", *given, *SMALL, "CUTOUT=--max-failed 0.05 --workers 1"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "report to open: work/evaluation/report.html" in done.stdout
    return folder


def test_it_ends_with_a_report_of_the_survey(made):
    assert (made / "work/evaluation/report.html").stat().st_size > 10_000
    metrics = json.loads((made / "work/evaluation/metrics.json").read_text())
    assert metrics["headline"]["test_auc"]["n"] > 10
    store = open_store(made / "work/positives.zarr")
    assert store.survey == named_survey(str(EXAMPLE / "survey.yaml"))
    assert set(store.index["source"].to_pylist()) == {"fits"}


def test_the_pixels_are_those_of_the_sky_in_nanomaggies(made):
    """The files are in nanojansky, and the store that they were made from in nanomaggies."""
    ours, sky = open_store(made / "work/positives.zarr"), open_store(made / "all.zarr")
    known = sky.index["ra"].to_numpy()
    for row in range(0, ours.n, 20):
        if ours.index["cutout_ok"][row].as_py():
            (there,) = np.flatnonzero(np.abs(known - ours.index["ra"][row].as_py()) < 1e-9)
            np.testing.assert_allclose(ours.read([row]), sky.read([there]), rtol=1e-5)


def test_a_damaged_cutout_is_a_row_that_says_so_and_all_gates_are_passed(made):
    index = open_store(made / "work/positives.zarr").index
    status = dict(zip(index["galaxy_id"].to_pylist(), index["status"].to_pylist(), strict=True))
    damaged = [name for name, seen in status.items() if seen == "bad_file"]
    assert damaged == [str(a_lens(made))]
    for gate in ("pool", "manifest"):
        lines = [json.loads(line) for line in (made / f"work/{gate}.jsonl").read_text().splitlines()]
        assert lines
        assert all(line["passed"] for line in lines)


def test_the_readme_says_why_of_every_column_of_the_survey_file():
    readme = (EXAMPLE / "README.md").read_text()
    survey = named_survey(str(EXAMPLE / "survey.yaml"))
    table = readme.split("## The catalogue")[1].split("## The lenses")[0]
    assert [name for name in survey.columns if f"`{name}`" not in table] == []
    theirs = [column.column for column in survey.columns.values() if column.column]
    assert [name for name in theirs if f"`{name}`" not in table] == []


def test_the_page_lists_every_status_that_the_source_gives():
    page = (EXAMPLE.parents[1] / "docs/howto/own-survey.md").read_text()
    source = (EXAMPLE.parents[1] / "lensctl/io/cutouts/fits_file.py").read_text()
    given = set(re.findall(r'(?:Unusable|UnknownUnit)\(\s*"(\w+)"', source))
    assert given == {"bad_file", "wrong_shape", "wrong_bands", "wrong_position"}
    assert [status for status in given if f"`{status}`" not in page] == []
