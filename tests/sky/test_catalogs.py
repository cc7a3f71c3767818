"""Sweeps hold the Tractor rows under the names of their corners, and the brick table lists the bricks used."""

from __future__ import annotations

import gzip

import fitsio


def test_sweeps_hold_the_tractor_rows_under_the_name_of_their_corners(root, tractor):
    total = 0
    for file in (root / "south" / "sweep" / "10.0").glob("*.fits"):
        rows = fitsio.read(file)
        total += len(rows)
        own = {(row["brickid"], row["objid"]): row["flux_r"] for row in tractor}
        assert [own[row["BRICKID"], row["OBJID"]] for row in rows] == rows["FLUX_R"].tolist()
        low, high = file.stem.split("-")[1:]
        assert float(low[:3]) <= rows["RA"].min() <= rows["RA"].max() < float(high[:3])
        signed = [(-1 if c[3] == "m" else 1) * float(c[4:]) for c in (low, high)]
        assert signed[0] <= rows["DEC"].min() <= rows["DEC"].max() < signed[1]
    assert total == len(tractor)


def test_the_brick_table_lists_the_bricks_used(root, plan):
    rows = fitsio.read(root / "survey-bricks.fits.gz")
    assert [name.strip() for name in rows["BRICKNAME"]] == [p.brick.name for p in plan]
    assert (rows["BRICKID"] == [p.brick.id for p in plan]).all()


def test_the_brick_table_has_no_time_in_its_gzip_header(root):
    packed = (root / "survey-bricks.fits.gz").read_bytes()
    assert packed[4:8] == bytes(4)
    assert gzip.decompress(packed)[:6] == b"SIMPLE"
