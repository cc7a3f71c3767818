"""Coadds and outputs elsewhere: on a web server, on S3."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.storage import s3
from lensctl.search import search
from tests.toys import coadds, searches

pytestmark = pytest.mark.usefixtures("tiny_network")
OPTIONS = {"device": "cpu", "workers": 1, "keep": 20}


def same(one: Path, other: Path) -> None:
    first, second = searches.scores(one), searches.scores(other)
    assert first["status"].to_pylist() == second["status"].to_pylist()
    np.testing.assert_allclose(*(t["logit"].to_numpy(zero_copy_only=False) for t in (first, second)), atol=1e-5)


def test_coadds_on_a_web_server_are_searched_as_those_on_disk(here):
    search("frozen", "t.parquet", "disk", root="sky", **OPTIONS)
    with coadds.serving(here / "sky") as server:
        search("frozen", "t.parquet", "web", root=server.url, tries=2, **OPTIONS)
    same(here / "disk", here / "web")


def test_rows_whose_server_fails_are_lost_with_the_reason_and_taken_up_later(here):
    with coadds.serving(here / "sky") as server:
        server.faults = {"1500p020-image-g.fits.fz": ["503"] * 1000}
        said = search("frozen", "t.parquet", "web", root=server.url, tries=1, part="1/1", **OPTIONS)
        assert said["searched_now"] == 215
        server.faults = {}
        again = search("frozen", "t.parquet", "web", root=server.url, tries=1, **OPTIONS)
    assert again["status"].get("http_error", 0) == 0
    search("frozen", "t.parquet", "disk", root="sky", **OPTIONS)
    same(here / "disk", here / "web")


def test_coadds_tables_and_outputs_may_be_on_s3(here, bucket):
    for file in (here / "sky").resolve().rglob("*.fits*"):
        s3.upload(file, f"s3://{bucket}/{file.relative_to((here / 'sky').resolve())}")
    s3.upload(Path("t.parquet"), f"s3://{bucket}/tables/t.parquet")
    where = {"root": f"s3://{bucket}", **OPTIONS}
    for part in ("1/2", "2/2"):
        search("frozen", f"s3://{bucket}/tables/t.parquet", f"s3://{bucket}/out", part=part, **where)
    said = search("frozen", f"s3://{bucket}/tables/t.parquet", f"s3://{bucket}/out", finish=True, **where)
    names = [name.split(f"{bucket}/out/")[-1] for name in s3.list_objects(f"s3://{bucket}/out")]
    assert {"search.json", "candidates.parquet", "searched.moc.fits", "report.html"} <= set(names)
    assert not [name for name in names if name.startswith(("_", "parts"))]
    again = search("frozen", f"s3://{bucket}/tables/t.parquet", f"s3://{bucket}/out", **where)
    assert "rows" not in again
    search("frozen", "t.parquet", "disk", root="sky", **OPTIONS)
    local = Path("fetched.parquet")
    s3.download(f"s3://{bucket}/out/candidates.parquet", local)
    ours, theirs = pq.read_table("disk/candidates.parquet"), pq.read_table(local)
    assert ours["galaxy_id"].to_pylist() == theirs["galaxy_id"].to_pylist()
    assert said["rows"] == 215
    assert isinstance(ours, pa.Table)
