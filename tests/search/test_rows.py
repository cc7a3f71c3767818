"""The rows of a catalogue file: chosen by the criteria, in the order of the sky and of bricks, whatever the chunks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.search.blocks import blocks_of, with_rows
from lensctl.search.preparing import chosen_criteria
from lensctl.search.rows import PIXEL, Planner, plan_schema, read_plan, region_of
from tests.toys import catalogs
from tests.toys.coadds import make_brick


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    make_brick(tmp_path / "sky", "1500p020")
    catalogs.write_fits(catalogs.rows(300), tmp_path / "sweep.fits")
    return tmp_path / "sweep.fits"


def planned(path: Path, criteria: str = "none", blocks: int = 64) -> tuple[object, list[pa.Table]]:
    chosen = chosen_criteria(LS_DR10, criteria, str(path))
    with begin_folder(str(path.parent / "out"), {"made": "up"}) as place:
        plan = Planner(place, chosen, CoaddSource(str(path.parent / "sky")))((0, str(path)))
        assert read_plan(place, 0) == plan
        found = [rows for _, rows in with_rows(place, [plan], blocks_of(plan, blocks))]
        place.abandon()
    return plan, found


def test_every_row_is_in_one_block_in_the_order_of_pixels_and_bricks(sweep):
    plan, blocks = planned(sweep)
    rows = pa.concat_tables(blocks)
    assert rows.schema.names == plan_schema(LS_DR10).names
    assert rows.num_rows == plan.rows == plan.read
    keys = [(row[PIXEL] >> 52, row["brickname"], row[PIXEL], row["galaxy_id"]) for row in rows.to_pylist()]
    assert keys == sorted(keys)
    assert len(set(rows["galaxy_id"].to_pylist())) == rows.num_rows
    for block in blocks:
        assert len({value >> 52 for value in block[PIXEL].to_pylist()}) == 1
    assert Counter(value >> 52 for value in rows[PIXEL].to_pylist()) == dict(plan.pixels)


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_chunks_make_no_difference(sweep, chunk, monkeypatch):
    _, wanted = planned(sweep)
    monkeypatch.setattr("lensctl.search.rows.CHUNK_ROWS", chunk)
    plan, found = planned(sweep)
    assert plan.chunks >= plan.rows // max(chunk, 2048)
    assert [rows.to_pylist() for rows in found] == [rows.to_pylist() for rows in wanted]


def test_blocks_that_are_done_are_left_out_and_the_others_are_the_same(sweep, monkeypatch):
    monkeypatch.setattr("lensctl.search.rows.CHUNK_ROWS", 10)
    chosen = chosen_criteria(LS_DR10, "none", str(sweep))
    with begin_folder(str(sweep.parent / "out"), {"made": "up"}) as place:
        plan = Planner(place, chosen, CoaddSource(str(sweep.parent / "sky")))((0, str(sweep)))
        blocks = blocks_of(plan, 16)
        every = dict(with_rows(place, [plan], blocks))
        some = dict(with_rows(place, [plan], blocks[1::3]))
        assert list(some) == blocks[1::3]
        assert all(some[block].equals(every[block]) for block in some)
        place.abandon()


def test_criteria_are_a_funnel_whose_sums_agree(sweep):
    everything, _ = planned(sweep)
    plan, blocks = planned(sweep, "plan")
    assert plan.read == everything.read
    assert plan.read - sum(plan.lost.values()) == plan.rows
    assert set(plan.lost) == set(LS_DR10.criteria["plan"].values())
    kept = pa.concat_tables(blocks)
    assert set(kept["type"].to_pylist()) <= {"SER", "DEV", "REX"}
    assert 0 < kept.num_rows < plan.read


@pytest.mark.parametrize(
    ("path", "region"),
    [
        ("/data/dr9/north/sweep/9.0/sweep-a.fits", "north"),
        ("s3://bucket/dr10/south/tractor/150/tractor-1500p020.fits", "south"),
        ("north.parquet", ""),
        ("/data/northern/t.parquet", ""),
    ],
)
def test_a_catalogue_is_of_the_region_whose_folder_it_lies_in(path, region):
    assert region_of(path) == region


def test_a_row_without_an_id_or_a_brick_is_refused(tmp_path):
    make_brick(tmp_path / "sky", "1500p020")
    rows = pa.table({"galaxy_id": ["a", None], "ra": [150.0, 150.0], "dec": [2.0, 2.0]})
    for table, message in (
        (rows, "column 'galaxy_id' is null"),
        (rows.slice(0, 1), "its brick is not known"),
        (rows.drop_columns(["galaxy_id"]), "column 'galaxy_id' is missing"),
    ):
        write_table(table, str(tmp_path / "t.parquet"), overwrite=True)
        with pytest.raises(InputError, match=message):
            planned(tmp_path / "t.parquet")
