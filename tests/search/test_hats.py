"""The scores as a HATS catalogue, by lsdb itself where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lensctl.io.tables.files import read_table
from lensctl.search import search
from tests.toys import searches

pytestmark = pytest.mark.usefixtures("tiny_network")
PYTHON = os.environ.get("LENSCTL_LSDB_PYTHON", "")
ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import lsdb
from hats.io.validation import is_valid_catalog
catalog = lsdb.open_catalog(sys.argv[1])
rows = catalog.compute()
near = catalog.cone_search(150.0, 2.0, 3600).compute()
pairs = catalog.crossmatch(catalog, radius_arcsec=0.1, suffixes=("_a", "_b")).compute()
said = {"rows": len(rows), "sorted": bool(rows.index.is_monotonic_increasing), "ids": sorted(rows["galaxy_id"]),
        "near": len(near), "pairs": len(pairs), "valid": bool(is_valid_catalog(sys.argv[1], strict=True))}
print(json.dumps(said))
"""


@pytest.fixture
def out(here: Path) -> Path:
    search("frozen", "t.parquet", "out", root="sky", device="cpu", workers=1, hats=True)
    return here / "out"


def test_lsdb_opens_the_scores_and_finds_them_whole(out):
    if not PYTHON or shutil.which(PYTHON) is None:
        pytest.skip("lsdb is not installed; run: make readers")
    done = subprocess.run([PYTHON, "-c", ASK, str(out / "scores")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    rows = searches.scores(out)
    assert said["valid"]
    assert said["sorted"]
    assert said["rows"] == said["pairs"] == rows.num_rows
    assert said["ids"] == sorted(rows["galaxy_id"].to_pylist())
    assert 0 < said["near"] < rows.num_rows


def test_the_properties_and_the_list_of_pixels_are_those_of_the_files(out):
    facts = dict(line.split("=", 1) for line in (out / "scores" / "hats.properties").read_text().splitlines())
    lines = (out / "scores" / "partition_info.csv").read_text().splitlines()
    files = sorted((out / "scores" / "dataset").rglob("Npix=*.parquet"), key=lambda file: int(file.stem[5:]))
    assert lines == ["Norder,Npix", *(f"3,{file.stem[5:]}" for file in files)]
    assert int(facts["hats_nrows"]) == sum(pq.read_metadata(file).num_rows for file in files)
    for file in files:
        rows = pq.read_table(file)
        index = rows["_healpix_29"].to_pylist()
        assert index == sorted(index)
        assert {value >> 52 for value in index} == {int(file.stem[5:])}
    assert read_table(str(out / "scores")).num_rows == int(facts["hats_nrows"])


def test_a_hats_catalogue_is_searched_too(out):
    again = search("frozen", "out/scores", "again", root="sky", device="cpu", workers=1)
    assert again["files"] if "files" in again else again["rows"] == searches.scores(out).num_rows
    first, second = (searches.scores(folder) for folder in (out, Path("again")))
    assert first["galaxy_id"].to_pylist() == second["galaxy_id"].to_pylist()
    assert first["status"].to_pylist() == second["status"].to_pylist()
