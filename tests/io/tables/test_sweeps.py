"""Catalogue files: in every format the same rows, cut anywhere they are named, and the digest is the file's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lensctl.io.provenance import digests
from lensctl.io.tables import sweeps
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys
from tests.toys.negatives import PLAN, kept


def write_unsigned_fits(table, path):
    """Exposures as unsigned numbers, which FITS stores scaled."""
    nobs = {f"NOBS_{band.upper()}": table[f"nobs_{band}"].to_numpy().astype("u2") for band in "grz"}
    return toys.write_fits(table.drop_columns([name.lower() for name in nobs]), path, **nobs)


WAYS = {
    "s.fits": toys.write_fits,
    "s.fits.gz": toys.write_fits,
    "s.fits.fz": toys.write_packed_fits,
    "unsigned.fits": write_unsigned_fits,
    "s.parquet": lambda table, path: write_table(table, str(path)),
    "coded.parquet": lambda table, path: pq.write_table(
        table.set_column(2, "type", table["type"].dictionary_encode()), path, row_group_size=70
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_fits_and_parquet_give_the_same_rows(tmp_path, name):
    raw = toys.rows(300)
    path = tmp_path / name
    WAYS[name](raw, path)
    expected = kept(toys.write_fits(raw, tmp_path / "x" / "plain.fits"))[0].drop_columns(["sweep_file"])
    assert kept(path)[0].drop_columns(["sweep_file"]).equals(expected)


def test_tractor_rows_of_a_neighbouring_brick_are_left_out(tmp_path):
    primary = np.arange(200) % 2 == 0
    path = toys.write_fits(toys.rows(200), tmp_path / "t.fits", brick_primary=primary)
    rows, funnel = kept(path)
    assert funnel.read == 100
    assert all(i % 2 == 0 for i in rows["row_index"].to_pylist())


@pytest.mark.parametrize("name", ["s.fits", "s.fits.gz", "s.fits.fz", "unsigned.fits", "s.parquet"])
def test_a_file_cut_anywhere_is_named(tmp_path, name):
    path = tmp_path / name
    WAYS[name](toys.rows(2000), path)
    whole = path.read_bytes()
    for share in (0.0, 0.001, 0.02, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match=f"{name}: (cannot be read|holds no FITS table)"):
            kept(path)


def test_a_gzipped_file_is_checked_to_its_end(tmp_path):
    path = toys.write_fits(toys.rows(500), tmp_path / "s.fits.gz")
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # in the checksum that gzip keeps there
    path.write_bytes(data)
    with pytest.raises(InputError, match="s.fits.gz: cannot be read as FITS"):
        kept(path)


def test_the_digest_is_that_of_the_file_and_notices_a_single_bit(tmp_path):
    for name in WAYS:
        path = tmp_path / name
        WAYS[name](toys.rows(500), path)
        if name.endswith("s.fits"):
            path.write_bytes(path.read_bytes() + bytes(100 * 2880))  # what may follow the last HDU
        scan = sweeps.CatalogScan(str(path))
        list(scan.rows(("ra",)))
        assert scan.digest == digests.of_file(path) == sweeps.digest(str(path))
    data = bytearray((tmp_path / "s.fits").read_bytes())
    data[-3] ^= 1  # far behind the rows
    (tmp_path / "s.fits").write_bytes(data)
    changed = sweeps.CatalogScan(str(tmp_path / "s.fits"))
    list(changed.rows(("ra",)))
    assert changed.digest not in (digests.of_bytes(b""), scan.digest)
    assert changed.digest == digests.of_bytes(bytes(data))


@pytest.mark.parametrize("name", ["s.fits", "s.fits.gz", "unsigned.fits", "s.parquet"])
def test_a_file_without_rows_gives_none(tmp_path, name):
    WAYS[name](toys.rows(10).slice(0, 0), tmp_path / name)
    rows, funnel = kept(tmp_path / name)
    assert (rows.num_rows, funnel.read) == (0, 0)
    assert rows.drop_columns(["sweep_file", "row_index"]).schema.equals(toys.pool(10).schema)


def dressed(raw):
    """The same rows as other programs write them: every number in another type, and text with blanks or in bytes."""
    columns = {name: raw[name] for name in raw.column_names}
    for name, column in columns.items():
        if pa.types.is_integer(column.type):
            columns[name] = column.cast(pa.float64())
        elif pa.types.is_string(column.type):
            columns[name] = pc.binary_join_element_wise(column.cast(pa.binary()), b"", b"  ")
    columns["ra"] = columns["ra"].cast(pa.string())
    columns["maskbits"] = raw["maskbits"].cast(pa.uint32())
    return pa.table(columns)


def test_numbers_and_texts_in_another_dress_are_the_same_rows(tmp_path):
    raw = toys.rows(300)
    expected = kept(toys.write_fits(raw, tmp_path / "plain.fits"))[0].drop_columns(["sweep_file"])
    pq.write_table(dressed(raw), tmp_path / "s.parquet")
    assert kept(tmp_path / "s.parquet")[0].drop_columns(["sweep_file"]).equals(expected)


def with_some(raw, name, value):
    """Rows of which every tenth has another value in a column."""
    column = pa.array([value if i % 10 == 0 else v for i, v in enumerate(raw[name].to_pylist())])
    return raw.set_column(raw.column_names.index(name), name, column)


@pytest.mark.parametrize("name", ["nobs_z", "maskbits", "flux_z", "shape_r"])
@pytest.mark.parametrize("unknown", [None, float("nan"), float("inf")])
def test_unknown_values_meet_no_criterion(tmp_path, name, unknown):
    if unknown == float("inf") and name in ("nobs_z", "maskbits"):
        pytest.skip("infinity is no integer")
    pq.write_table(with_some(toys.rows(300), name, unknown), tmp_path / "s.parquet")
    criterion = {"m": "maskbits >= 0", "n": "nobs_z <= 99", "f": "mag_z < 99", "s": "shape_r < 1e30"}[name[0]]
    rows, _ = kept(tmp_path / "s.parquet", dataclasses.replace(PLAN, expressions={"own": criterion}))
    assert rows.num_rows
    assert all(i % 10 for i in rows["row_index"].to_pylist())


@pytest.mark.parametrize("name", ["objid", "brickname", "type"])
def test_a_null_id_or_type_is_refused_with_its_row(tmp_path, name):
    pq.write_table(with_some(toys.rows(300), name, None), tmp_path / "s.parquet")
    with pytest.raises(InputError, match=rf"s.parquet: column '{name}' is null in row 0\n"):
        kept(tmp_path / "s.parquet", dataclasses.replace(PLAN, expressions={"own": "dec < 90"}))


def test_columns_equal_but_for_case_are_refused(tmp_path):
    raw = toys.rows(10)
    pq.write_table(raw.append_column("RA", raw["dec"]), tmp_path / "s.parquet")
    with pytest.raises(InputError, match="s.parquet: columns 'ra' and 'RA' are one"):
        kept(tmp_path / "s.parquet")


@pytest.mark.parametrize("suffix", [".fits", ".parquet"])
def test_positions_far_from_their_bricks_are_refused_with_their_number(tmp_path, suffix):
    table = toys.rows(300)
    hours = table.set_column(table.column_names.index("ra"), "ra", pc.divide(table["ra"], 15.0))
    path = tmp_path / f"s{suffix}"
    _ = toys.write_fits(hours, path) if suffix == ".fits" else pq.write_table(hours, path)
    scan = sweeps.CatalogScan(str(path))

    def keep(values):
        sweeps.refuse_bad_positions(scan, values)
        return values("ra") > 0

    with pytest.raises(InputError, match="300 of 300 positions are not in the brick they name: row 0 is at ra ") as e:
        list(scan.measured(keep))
    assert "if they are in hours" in e.value.fix
