"""VOTable, ECSV and FITS: what is written under their names is read back, by astropy too, and damage is a sentence."""

from __future__ import annotations

import astropy.table
import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import Step, chain_of, stamp
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.show.identify import identify
from tests.toys import catalogs as toys

POOL = toys.pool(40)
ROWS = (
    POOL.select(["galaxy_id", "ra", "dec", "type", "objid", "flux_r", "maskbits", "healpix_128"])
    .append_column("good", pa.array([i % 2 == 0 for i in range(POOL.num_rows)]))
    .append_column("part", pa.array([None if i == 3 else i / 8 for i in range(POOL.num_rows)]))
)


@pytest.mark.parametrize("suffix", [".fits", ".vot"])
def test_what_is_written_is_read_back_with_the_same_bytes_twice(tmp_path, suffix):
    for name in "ab":
        write_table(ROWS, str(tmp_path / f"{name}{suffix}"))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    found = read_table(str(tmp_path / f"a{suffix}"))
    assert found.column_names == ROWS.column_names
    for name in ROWS.column_names[:-1]:
        assert found[name].to_pylist() == ROWS[name].to_pylist(), name
    there = [i for i in range(ROWS.num_rows) if i != 3]
    assert found["part"].take(there).to_pylist() == ROWS["part"].take(there).to_pylist()
    assert found.schema.field("ra").metadata[b"unit"] == b"deg"
    other = astropy.table.Table.read(tmp_path / f"a{suffix}")
    assert other["ra"].tolist() == ROWS["ra"].to_pylist()
    assert str(other["ra"].unit) == "deg"


@pytest.mark.parametrize("suffix", [".fits", ".vot"])
def test_provenance_is_read_back_whatever_is_in_it_and_as_long_as_it_is(tmp_path, suffix):
    texts = ["it's", "& 'x' &", "a" * 30_000, " " * 100 + "&", 'é\n\t<&>"\\', "", "/ no comment"]
    chain = (Step("pool", {"texts": texts}), Step("sample", {"texts": [text * 2 for text in texts]}))
    write_table(stamp(ROWS, chain), str(tmp_path / f"t{suffix}"))
    assert chain_of(read_table(str(tmp_path / f"t{suffix}"))) == chain
    assert identify(str(tmp_path / f"t{suffix}")).chain == chain
    assert astropy.table.Table.read(tmp_path / f"t{suffix}")["ra"].tolist() == ROWS["ra"].to_pylist()
    write_table(ROWS, str(tmp_path / f"without{suffix}"))
    assert chain_of(read_table(str(tmp_path / f"without{suffix}"))) == ()


def test_null_numbers_and_any_letters(tmp_path):
    rows = pa.table({"n": pa.array([1, None, 3], pa.int32()), "s": ["a", "é", None], "b": [True, None, False]})
    write_table(rows, str(tmp_path / "t.vot"))
    assert read_table(str(tmp_path / "t.vot")).to_pylist() == rows.to_pylist()
    write_table(rows.select(["n"]), str(tmp_path / "n.fits"))
    assert astropy.table.Table.read(tmp_path / "n.fits")["n"].mask.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"s": pa.array(["é"])}, "column 's' has letters that FITS cannot hold"),
        ({"b": pa.array([True, None])}, "column 'b' is yes, no or null"),
        ({"n": pa.array([-(2**31), None], pa.int32())}, "column 'n' has nulls and -2147483648"),
        ({"l": pa.array([[1, 2]])}, "column 'l' is list<.*>, which is not written"),
        ({"a": pa.array([1]), "A": pa.array([2])}, "the same name, but for case"),
    ],
)
def test_what_fits_cannot_hold_is_refused_and_nothing_is_left(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        write_table(pa.table(columns), str(tmp_path / "t.fits"))
    assert not list(tmp_path.iterdir())


def test_an_ecsv_is_read_with_its_units(tmp_path):
    made = astropy.table.Table({"ra": [1.5, 2.5], "name": ["a", "b"]}, units={"ra": "deg"})
    made.write(tmp_path / "t.ecsv")
    found = read_table(str(tmp_path / "t.ecsv"))
    assert found.to_pylist() == [{"ra": 1.5, "name": "a"}, {"ra": 2.5, "name": "b"}]
    made["ra"].unit = "hourangle"
    made.write(tmp_path / "h.ecsv")
    with pytest.raises(InputError, match="column 'ra' is in 'hourangle'"):
        read_table(str(tmp_path / "h.ecsv"))


@pytest.mark.parametrize("suffix", [".vot", ".ecsv"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_damaged_file_is_a_sentence(tmp_path, suffix, keep):
    path = tmp_path / f"t{suffix}"
    astropy.table.Table({"ra": [1.5, 2.5]}).write(path, format="votable" if suffix == ".vot" else "ascii.ecsv")
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(InputError, match=rf"t\{suffix}: "):
        read_table(str(path))
