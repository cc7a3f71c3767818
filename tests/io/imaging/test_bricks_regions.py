"""Bricks of north and south have the same names, and other pixels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.imaging.bricks import bases_of, bricks_of, of_region
from lensctl.io.imaging.coadds import Coadds
from lensctl.io.imaging.roots import open_root
from tests.toys import coadds

FOLDERS = ("coadd", "south/coadd")


def test_a_region_has_its_own_folders_and_none_of_another():
    assert bases_of(FOLDERS, "", "dr10") == ["coadd", "south/coadd"]
    assert bases_of(FOLDERS, "south", "dr10") == ["south/coadd", "coadd"]
    assert bases_of(FOLDERS, "north", "dr9") == ["north/coadd", "coadd"]
    assert bases_of(FOLDERS, "north", "north") == ["north/coadd", "coadd"]
    assert bases_of(FOLDERS, "north", "south") == ["north/coadd"]


def test_only_regions_name_bricks():
    assert of_region("1500p020", "north") == "north/1500p020"
    assert of_region("1500p020", "CDFS") == "1500p020"
    assert of_region(None, "north") is None
    table = pa.table({"galaxy_id": ["1500p020_1"] * 3, "region": ["north", None, "elsewhere"]})
    assert bricks_of(table, None) == ["north/1500p020", "1500p020", "1500p020"]


@pytest.mark.parametrize("how", ["disk", "http"])
def test_each_region_is_cut_from_its_own_coadds(tmp_path, how):
    pixels = {}
    for seed, region in enumerate(("north", "south")):
        pixels[region] = coadds.make_brick(tmp_path, "1500p020", base=f"{region}/coadd", seed=seed)
    coadds.make_brick(tmp_path, "1502p020", base="south/coadd")
    ra, dec = (np.repeat(value, 4) for value in coadds.CENTRES["1500p020"])
    bricks = ["north/1500p020", "south/1500p020", "1500p020", "north/1502p020"]
    with coadds.serving(tmp_path) as server:
        cutter = Coadds(open_root(str(tmp_path) if how == "disk" else server.url), size=9)
        cuts = cutter.cut(bricks, ra, dec)
        cutter.close()
    north, south = (pixels[region]["g"] for region in ("north", "south"))
    where = np.argwhere(north == cuts.images[0, 4, 4, 0])[0]
    for row, plane in ((0, north), (1, south), (2, south)):
        assert cuts.images[row, 4, 4, 0] == plane[tuple(where)]
    assert cuts.columns["status"][3] == "missing_brick"
    assert cuts.columns["url_or_brick"][:2] == ["north/coadd/150/1500p020", "south/coadd/150/1500p020"]


def test_a_root_of_one_region_alone_serves_rows_of_no_region(tmp_path):
    coadds.make_brick(tmp_path, "1500p020", base="north/coadd")
    ra, dec = coadds.CENTRES["1500p020"]
    cuts = Coadds(open_root(str(tmp_path)), size=9).cut(["1500p020"], np.array([ra]), np.array([dec]))
    assert cuts.columns["url_or_brick"] == ["north/coadd/150/1500p020"]
