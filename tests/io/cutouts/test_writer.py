"""Shards that an earlier run left are taken for done only if they are whole."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest

from lensctl.io.cutouts.layout import Layout
from lensctl.io.cutouts.writer import StoreWriter
from lensctl.io.storage.growing_folders import begin_folder
from tests.toys.pixels import images, index


@pytest.mark.parametrize("lacking", ["zero_pixel_frac_g", "status"])
def test_a_shard_whose_rows_lack_a_column_is_made_again(tmp_path, lacking):
    pixels, layout = images(3), Layout(3, 9, shard_rows=4)
    with begin_folder(str(tmp_path / "s.zarr"), {"made": "up"}) as place:
        writer = StoreWriter(place, layout)
        writer.writer.write(0, pixels, index(pixels))
        assert writer.missing() == []
        rows = pq.read_table(io.BytesIO(place.part("000000.parquet")))
        part = io.BytesIO()
        pq.write_table(rows.drop_columns([lacking]), part)
        place.put_part("000000.parquet", part.getvalue())
        assert writer.missing() == [0]
