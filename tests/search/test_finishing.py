"""The finished folder, by the programs that people open it with."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from lensctl.astro.sky_area import SKY_DEG2
from lensctl.io.tables.files import read_table
from lensctl.rules.split import healpix
from lensctl.search import search
from lensctl.search.finishing import in_ascii
from tests.toys import searches

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def out(here: Path) -> Path:
    options = {"root": "sky", "device": "cpu", "workers": 1, "keep": 40, "lenses": "lenses.csv"}
    search("frozen", "t.parquet", "out", **options)
    return here / "out"


def test_the_candidates_are_one_table_in_three_formats(out):
    ours = pq.read_table(out / "candidates.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nanomaggies
        read = [Table.read(out / f"candidates.{kind}") for kind in ("fits", "vot")]
    for table in read:
        assert table.colnames == ours.column_names
        for name in ("ra", "logit", "rank", "cutout_index", "n_members"):
            np.testing.assert_allclose(np.asarray(table[name], float), ours[name].to_numpy(), rtol=1e-12)
        ids = [text.decode() if isinstance(text, bytes) else str(text) for text in table["galaxy_id"]]
        assert ids == ours["galaxy_id"].to_pylist()
        assert str(table["ra"].unit) == "deg"
    regions = pytest.importorskip("regions", reason="the package regions is not installed")
    circles = regions.Regions.read(out / "candidates.reg", format="ds9")
    names = [circle.meta["text"].split()[0] for circle in circles]
    assert names == ours["galaxy_id"].to_pylist()


def test_mocpy_opens_the_coverage_and_it_holds_what_it_says(out):
    mocpy = pytest.importorskip("mocpy", reason="mocpy is not installed")
    area = searches.summary(out)["area"]
    searched, lost = (mocpy.MOC.from_fits(str(out / f"{name}.moc.fits")) for name in ("searched", "lost"))
    assert searched.sky_fraction * SKY_DEG2 == pytest.approx(area["searched_deg2"])
    assert lost.sky_fraction * SKY_DEG2 == pytest.approx(area["lost_deg2"])
    assert searched.intersection(lost).empty()
    rows = searches.scores(out)
    scored = rows.filter(pa.compute.is_valid(rows["logit"]))
    inside = searched.contains_lonlat(scored["ra"].to_numpy() * _deg(), scored["dec"].to_numpy() * _deg())
    assert inside.all()


def _deg():
    from astropy import units

    return units.deg


def test_known_lenses_are_named_and_their_recall_is_given_with_what_it_is_of(out):
    lenses = {row["name"]: row for row in pq.read_table(out / "known_lenses.parquet").to_pylist()}
    assert set(lenses) == {"L0", "L1", "L2", "L3"}  # not the one graded as none
    assert lenses["L3"]["fate"] == "outside the searched area"
    for row in pq.read_table(out / "candidates.parquet").to_pylist():
        name = row["known_lens"]
        assert (name in lenses) == (row["known_sep_arcsec"] is not None)
        if name:
            assert lenses[name]["rank"] == row["rank"]
    summary = searches.summary(out)
    told = summary["known_lenses"]
    assert sum(row["lenses"] for row in told["fates"]) == 4
    assert {(row["tier"], row["lenses"]) for row in told["recall"]} == {(t, w) for t in "AB" for w in ("all", "unseen")}
    assert {row["at"] for row in told["recall"]} >= {"the list", "p=0.5"}


def test_the_sums_of_the_summary_are_those_of_the_rows(out):
    told, rows = searches.summary(out), searches.scores(out)
    assert told["rows"]["searched"] == rows.num_rows == sum(told["rows"]["status"].values())
    assert told["rows"]["scored"] == rows.num_rows - rows["logit"].null_count
    assert told["rows"]["lost"] == rows["logit"].null_count
    assert told["funnel"] == [{"criterion": "read", "removed": 0, "remaining": rows.num_rows}]
    assert told["bricks"] == {"searched": 2, "lost": 2}
    for point in told["thresholds"]:
        if point["logit"] is not None:
            assert point["rows"] == int((rows["logit"].drop_null().to_numpy() >= point["logit"]).sum())
            if point["rows"]:
                assert point["per_deg2"]["value"] == pytest.approx(point["rows"] / told["area"]["searched_deg2"])
    assert sum(told["rows"]["seen_in_training"].values()) == rows.num_rows - rows["seen_in_training"].null_count
    assert rows["healpix_128"].to_pylist() == healpix(rows["ra"].to_numpy(), rows["dec"].to_numpy()).tolist()


def test_a_table_of_scores_in_parts_is_read_as_one(out):
    rows = read_table(str(out / "scores"))
    assert rows.num_rows == searches.scores(out).num_rows
    assert {"galaxy_id", "status", "logit", "p", "_healpix_29"} <= set(rows.column_names)


def test_a_row_of_a_manifest_is_flagged(here):
    free = [k for k, why in enumerate(_seen(here)) if why is None]
    if not free:
        pytest.skip("the toy's bricks are all in train and val")
    rows = read_table("t.parquet").take(free[:1])
    table = pa.table({"galaxy_id": rows["galaxy_id"], "split": ["train"]})
    pq.write_table(table, "m.parquet")
    options = {"root": "sky", "device": "cpu", "workers": 1, "manifest": "m.parquet"}
    search("frozen", "t.parquet", "flagged", **options)
    found = {row["galaxy_id"]: row["seen_in_training"] for row in searches.scores(here / "flagged").to_pylist()}
    assert found[rows["galaxy_id"][0].as_py()] == "manifest: train"


def _seen(here: Path) -> list[str | None]:
    from lensctl.rules.survey import LS_DR10
    from lensctl.search.training import Training

    rows = read_table("t.parquet")
    ra, dec = rows["ra"].to_numpy(), rows["dec"].to_numpy()
    return Training(LS_DR10).seen(rows["galaxy_id"].to_pylist(), ra, dec, healpix(ra, dec)).tolist()


def test_no_candidate_above_a_threshold_is_a_whole_folder_with_an_empty_list(here, monkeypatch):
    from lensctl.search import preparing

    monkeypatch.setattr(preparing, "limit_of", lambda name, points: 1e6)
    options = {"root": "sky", "device": "cpu", "workers": 1, "threshold": "p=0.5"}
    said = search("frozen", "t.parquet", "out", **options)
    assert (said["candidates"], said["systems"]) == (0, 0)
    assert pq.read_table("out/candidates.parquet").num_rows == 0
    assert not Path("out/candidates.zarr").exists()
    assert "The first 0 of 0 systems" in Path("out/report.html").read_text()


def test_letters_that_fits_cannot_hold_are_written_without_their_marks():
    table = pa.table({"name": ["Müller", "plain", None, "光", ""], "n": [1, 2, 3, 4, 5]})
    assert in_ascii(table)["name"].to_pylist() == ["Muller", "plain", None, "?", ""]
    assert in_ascii(table)["n"].to_pylist() == [1, 2, 3, 4, 5]
