"""Which files a path stands for: a folder that is incomplete stands for none."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.io.tables import sweeps
from lensctl.io.tables.files import read_table, write_table
from lensctl.io.tables.paths import base_name, format_of
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys


def test_a_folder_on_disk_that_is_not_whole_is_refused(tmp_path):
    write_table(toys.pool(20), str(tmp_path / "part.parquet"))
    (tmp_path / INCOMPLETE).touch()
    with pytest.raises(InputError, match="is incomplete"):
        read_table(str(tmp_path))


@pytest.mark.parametrize("leaf", ["Npix=4.parquet", "Npix=4/part0.parquet"])
def test_a_hats_catalogue_is_its_pixels_without_the_thumbnail(tmp_path, leaf):
    """Pixels of one number in two orders are two files (hats.readthedocs.io)."""
    table = toys.rows(60)
    for order, rows in ((0, table.slice(0, 20)), (1, table.slice(20))):
        path = tmp_path / f"hats/dataset/Norder={order}/Dir=0/{leaf}"
        path.parent.mkdir(parents=True)
        write_table(rows, str(path))
    write_table(table.slice(0, 5), str(tmp_path / "hats/dataset/data_thumbnail.parquet"))
    (tmp_path / "hats/dataset/_metadata").touch()
    (tmp_path / "hats/partition_info.csv").write_text("Norder,Npix\n0,4\n1,4\n")
    files = sweeps.catalog_files([str(tmp_path / "hats")])
    names = [base_name(file) for file in files]
    assert names == [f"Norder={order}-{leaf.replace('/', '-')}" for order in (0, 1)]
    rows = pa.concat_tables([one for file in files for one in sweeps.CatalogScan(file).measured()])
    assert rows["objid"].to_pylist() == list(range(60))
    assert set(rows["sweep_file"].to_pylist()) == set(names)
    assert read_table(str(tmp_path / "hats")).num_rows == 60


@pytest.mark.parametrize("name", ["l.txt", "l.json", "n.dat", "s3://bucket/n.votable", "l.csv.bz2"])
def test_an_ending_of_no_table_is_refused_by_name(tmp_path, name):
    path = name if name.startswith("s3") else str(tmp_path / name)
    for act in (read_table, lambda path: write_table(toys.pool(5), path)):
        with pytest.raises(InputError, match=rf"ending \.{name.rpartition('.')[2]} is none of a table's"):
            act(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.pq", "parquet"), ("sweep-10.0", "parquet"), ("pool", "parquet"), ("a.FIT", "fits"), ("v1.d/", "parquet")],
)
def test_a_format_is_known_by_its_ending(name, kind):
    assert format_of(name) == kind


def test_a_folder_may_have_any_name(tmp_path):
    (tmp_path / "pool.dr10").mkdir()
    write_table(toys.pool(20), str(tmp_path / "pool.dr10/part.parquet"))
    assert read_table(str(tmp_path / "pool.dr10")).num_rows == toys.pool(20).num_rows


def test_a_key_or_folder_on_s3_that_exists_is_that_one_and_another_is_a_glob(bucket):
    """Also where a glob of that text would match others."""
    keys = ("a[1].parquet", "a1.parquet", "d?*/x [y].parquet", "dab/z.parquet")
    for rows, key in enumerate(keys, start=1):
        write_table(toys.rows(rows), f"s3://{bucket}/{key}")
    found = {"a[1].parquet": 1, "a[12].parquet": 2, "a*.parquet": 3, "d?*": 3, "d?*/x [y].parquet": 3, "d?b/*": 4}
    assert {key: read_table(f"s3://{bucket}/{key}").num_rows for key in found} == found
