"""The pool: criteria, classes and columns as the plan has them; one bad file is named; a killed run goes on."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.astro import geometry
from lensctl.io.fits.tables import read_fits_table
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of
from lensctl.io.storage import s3
from lensctl.io.storage.incomplete import INCOMPLETE, being_written, upload_folder
from lensctl.io.tables import partitioned, sweeps
from lensctl.io.tables.files import read_table, write_table
from lensctl.io.tables.paths import files_of
from lensctl.io.tables.sql import Database
from lensctl.pool.criteria import PRESETS
from lensctl.pool.parts import repeated_between, select_all
from lensctl.pool.select import select
from lensctl.rules import split
from lensctl.rules.confusers import CONFUSER_COLUMNS, confuser_category
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys

NONE = np.zeros(0)


def kept(path, criteria=PRESETS["plan"], lens_ra=NONE, lens_dec=NONE):
    return select(str(path), criteria, lens_ra, lens_dec)


@pytest.fixture
def sweep(tmp_path):
    return toys.write_fits(toys.rows(2000), tmp_path / "sweep-150p002-160p007.fits")


def test_the_plans_criteria_row_by_row(sweep):
    rows, funnel = kept(sweep)
    raw = toys.rows(2000).to_pylist()
    expected = [
        f"{r['brickname']}_{r['objid']}"
        for r in raw
        if r["maskbits"] == 0
        and r["nobs_g"] >= 1
        and r["nobs_r"] >= 1
        and r["nobs_z"] >= 3
        and r["type"] in ("SER", "DEV", "REX")
    ]
    assert rows["galaxy_id"].to_pylist() == expected
    assert (funnel.read, funnel.kept) == (2000, len(expected))
    assert funnel.read - sum(funnel.lost.values()) == funnel.kept


def test_the_preset_of_paper_four(tmp_path):
    raw = toys.rows(2000, dec=30.0)
    rows, _ = kept(toys.write_fits(raw, tmp_path / "s.fits"), PRESETS["paper4"])
    assert min(min(rows[f"nobs_{band}"].to_pylist()) for band in "grz") >= 3
    assert max(rows["mag_z"].to_pylist()) < 20
    assert max(rows["dec"].to_pylist()) < 32
    bit_three = dataclasses.replace(PRESETS["paper4"], masked_bits=(3,))
    assert kept(tmp_path / "s.fits", bit_three)[1].lost["maskbits"] == 0  # toys set bit 1 alone


def test_columns_follow_from_the_rules(sweep):
    rows, _ = kept(sweep)
    first = rows.slice(0, 1).to_pylist()[0]
    assert first["galaxy_id"] == f"{first['brickname']}_{first['objid']}"
    assert first["mag_r"] == pytest.approx(22.5 - 2.5 * np.log10(first["flux_r"]), abs=1e-5)
    assert first["g_minus_r"] == pytest.approx(first["mag_g"] - first["mag_r"], abs=1e-5)
    pixels = split.healpix(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    assert rows["healpix_128"].to_pylist() == pixels.tolist()
    assert rows["split"].to_pylist() == [split.split_of(int(pixel)) for pixel in pixels]
    columns = {name: rows[name].to_numpy(zero_copy_only=False) for name in CONFUSER_COLUMNS}
    assert rows["confuser_category"].to_pylist() == list(confuser_category(columns))
    assert {row["pool"] == "N2" for row in rows.to_pylist() if row["confuser_category"]} == {True}
    assert first["sweep_file"] == "sweep-150p002-160p007.fits"


def test_ellipticity_and_sersic_are_really_used(tmp_path):
    raw = toys.rows(2000)
    round_ = raw.set_column(raw.column_names.index("shape_e1"), "shape_e1", pa.array(np.zeros(2000, "f4")))
    round_ = round_.set_column(raw.column_names.index("shape_e2"), "shape_e2", pa.array(np.zeros(2000, "f4")))
    assert "edge_on_proxy" in kept(toys.write_fits(raw, tmp_path / "a.fits"))[0]["confuser_category"].to_pylist()
    assert "edge_on_proxy" not in kept(toys.write_fits(round_, tmp_path / "b.fits"))[0]["confuser_category"].to_pylist()


def test_rows_near_a_lens_are_left_out(sweep):
    rows, _ = kept(sweep)
    ra, dec = rows["ra"].to_numpy()[:50], rows["dec"].to_numpy()[:50] + 9.0 / 3600
    left, funnel = kept(sweep, lens_ra=ra, lens_dec=dec)
    assert funnel.lost["near a lens"] >= 50
    assert (geometry.nearest(left["ra"].to_numpy(), left["dec"].to_numpy(), ra, dec)[1] > 11).all()


def test_a_flux_of_nothing_gives_a_null_magnitude_and_fails_criteria_on_it(tmp_path):
    raw = toys.rows(50)
    raw = raw.set_column(raw.column_names.index("flux_z"), "flux_z", pa.array(np.zeros(50, "f4")))
    path = toys.write_fits(raw, tmp_path / "s.fits")
    assert kept(path)[0]["mag_z"].null_count == kept(path)[0].num_rows
    assert kept(path, dataclasses.replace(PRESETS["plan"], max_mag_z=30.0))[0].num_rows == 0


def test_tractor_rows_of_a_neighbouring_brick_are_left_out(tmp_path):
    primary = np.arange(200) % 2 == 0
    path = toys.write_fits(toys.rows(200), tmp_path / "t.fits", brick_primary=primary)
    rows, funnel = kept(path)
    assert funnel.read == 100
    assert all(i % 2 == 0 for i in rows["row_index"].to_pylist())


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


@pytest.mark.skipif(shutil.which("fpack") is None, reason="fpack is not installed")
def test_what_fpack_packs_is_read_as_it_was(tmp_path):
    path = toys.write_fits(toys.rows(3000), tmp_path / "s.fits", brick_primary=np.arange(3000) % 3 > 0)
    expected = read_fits_table(str(path))
    subprocess.run(["fpack", "-table", str(path)], check=True, capture_output=True)
    assert read_fits_table(f"{path}.fz").equals(expected)


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
        scan = sweeps.Scan(str(path))
        list(scan.rows(("ra",)))
        assert scan.digest == digests.of_file(path) == sweeps.digest(str(path))
    data = bytearray((tmp_path / "s.fits").read_bytes())
    data[-3] ^= 1  # far behind the rows
    (tmp_path / "s.fits").write_bytes(data)
    changed = sweeps.Scan(str(tmp_path / "s.fits"))
    list(changed.rows(("ra",)))
    assert changed.digest not in (digests.of_bytes(b""), scan.digest)
    assert changed.digest == digests.of_bytes(bytes(data))


def test_batches_and_pieces_do_not_matter(tmp_path, monkeypatch):
    path = toys.write_fits(toys.rows(1000), tmp_path / "s.fits")
    expected, funnel = kept(path)
    monkeypatch.setattr("lensctl.io.fits.tables.BATCH_ROWS", 7)
    monkeypatch.setattr("lensctl.pool.select.PIECE_ROWS", 100)
    again, others = kept(path)
    assert again.equals(expected)
    assert others == funnel


@pytest.mark.parametrize("name", ["s.fits", "s.fits.gz", "unsigned.fits", "s.parquet"])
def test_a_file_without_rows_gives_none(tmp_path, name):
    WAYS[name](toys.rows(10).slice(0, 0), tmp_path / name)
    rows, funnel = kept(tmp_path / name)
    assert (rows.num_rows, funnel.read) == (0, 0)
    assert rows.drop_columns(["sweep_file", "row_index"]).schema.equals(toys.pool(10).schema)


def test_healpix_64_is_that_of_the_position():
    random = np.random.default_rng(4)
    ra = np.r_[random.uniform(0, 360, 200_000), np.linspace(0, 360, 1441)]
    dec = np.r_[np.degrees(np.arcsin(random.uniform(-1, 1, 200_000))), np.linspace(-90, 90, 1441)]
    assert (split.healpix(ra, dec, 128) >> 2 == split.healpix(ra, dec, 64)).all()


def test_nulls_in_a_parquet_catalogue_pass_no_criterion(tmp_path):
    raw = toys.rows(30)
    for name in ("nobs_z", "maskbits", "type"):
        spoilt = raw.set_column(raw.column_names.index(name), name, pa.nulls(30, raw[name].type))
        write_table(spoilt, str(tmp_path / f"{name}.parquet"))
        assert kept(tmp_path / f"{name}.parquet")[0].num_rows == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop_columns(["sersic"]), "column 'sersic' is missing"),
        (
            lambda t: t.set_column(t.column_names.index("ra"), "ra", pa.array([float("nan")] * t.num_rows)),
            "column 'ra' is null or NaN",
        ),
        (
            lambda t: t.set_column(t.column_names.index("ra"), "ra", pa.array([400.0] * t.num_rows)),
            "ra = 400.0 in row 0",
        ),
    ],
)
def test_bad_columns_are_named(tmp_path, spoil, message):
    path = toys.write_fits(spoil(toys.rows(20)), tmp_path / "s.fits")
    with pytest.raises(InputError, match=message):
        kept(path)


LENSES = "name,RA [deg],DEC [deg],zlens,type,grading,ref\nDESI-010.0+10.0,10.0,10.0,-,galaxy,confident,x\n"


@pytest.fixture
def survey(tmp_path):
    (tmp_path / "lenses.csv").write_text(LENSES)
    for i in range(3):
        toys.write_fits(toys.rows(400, seed=i, ra=150.0 + 5 * i), tmp_path / f"sweep-{i}.fits")
    return tmp_path


def test_a_truncated_file_is_named_and_fails_the_run_unless_allowed(survey, lensctl):
    whole = (survey / "sweep-1.fits").read_bytes()
    (survey / "sweep-1.fits").write_bytes(whole[: len(whole) // 2])
    arguments = ("pool", "sweep-0.fits", "sweep-1.fits", "sweep-2.fits", "pool.parquet", "--lenses", "lenses.csv")
    refused = lensctl(*arguments)
    assert refused.returncode == 2
    assert "1 of 3 files are bad, first sweep-1.fits: cannot be read as FITS (cut short" in refused.stderr
    assert not (survey / "pool.parquet").exists()
    allowed = lensctl(*arguments, "--skip-bad", 1)
    assert allowed.returncode == 0, allowed.stderr
    assert set(pq.read_table(survey / "pool.parquet")["sweep_file"].to_pylist()) == {"sweep-0.fits", "sweep-2.fits"}


def test_ids_that_stand_twice_are_counted_within_a_file_and_between_files(tmp_path):
    raw = toys.rows(200)
    files = [str(toys.write_fits(t, tmp_path / n)) for t, n in ((raw, "a.fits"), (raw.slice(0, 50), "b.fits"))]
    twice = str(toys.write_fits(pa.concat_tables([raw, raw.slice(0, 50)]), tmp_path / "c.fits"))
    parts = list(select_all([*files, twice], tmp_path, PRESETS["plan"], NONE, NONE, count=1))
    again = kept(files[1])[1].kept
    assert [part.funnel.repeated for part in parts] == [0, 0, again]
    assert repeated_between(parts[:2]) == again
    assert repeated_between(parts[:1]) == 0


def test_a_part_that_a_crash_has_spoilt_is_made_again(tmp_path):
    file = str(toys.write_fits(toys.rows(200), tmp_path / "a.fits"))

    def part():
        (found,) = select_all([file], tmp_path, PRESETS["plan"], NONE, NONE, count=1)
        return found, found.path.read_bytes()

    first, rows = part()
    (tmp_path / "a.fits.arrow").write_bytes(b"\0" * len(rows))  # as a machine that lost its power may leave it
    assert part() == (first, rows)
    written = os.stat(first.path).st_mtime_ns
    assert part() == (first, rows)
    assert os.stat(first.path).st_mtime_ns == written


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_hive_partitions_hold_the_same_rows_and_are_read_by_the_commands_that_follow(survey, lensctl):
    arguments = ("pool", "sweep-0.fits", "sweep-1.fits", "sweep-2.fits")
    by = ("--lenses", "lenses.csv", "--partition-by", "nobs_z_bin", "--partition-by", "split")
    assert lensctl(*arguments, "one.parquet", "--lenses", "lenses.csv").returncode == 0
    for output, workers in (("pool", 1), ("again", 2)):
        done = lensctl(*arguments, output, *by, "--workers", workers)
        assert done.returncode == 0, done.stderr
    assert "nothing to do" in lensctl(*arguments, "pool", *by).stderr
    assert tree(survey / "pool") == tree(survey / "again")
    names = {str(p.parent.relative_to(survey / "pool")) for p in (survey / "pool").rglob("*.parquet")}
    assert "nobs_z_bin=3-5/split=train" in names
    assert "nobs_z_bin=11+/split=train" in names
    assert all(chain_of(pq.read_schema(p))[-1].command == "pool" for p in (survey / "pool").rglob("*.parquet"))
    one = read_table(str(survey / "one.parquet"))
    many = read_table(str(survey / "pool")).select(one.column_names)
    assert many.schema.types == one.schema.types
    assert many.sort_by("galaxy_id").equals(one.sort_by("galaxy_id"))
    write_table(toys.positives(20), str(survey / "positives.parquet"))
    for path in ("one.parquet", "pool"):
        options = ("--positives", "positives.parquet", "--negatives-per-positive", 3)
        assert lensctl("sample", path, f"{path[:3]}-drawn.parquet", *options).returncode == 0
        gate = lensctl("gate", "pool", path, "--set", "pool.min_rows=10")
        assert [line["check"] for line in map(json.loads, gate.stdout.splitlines()) if "rule" in line["check"]]
        assert json.loads(lensctl("show", path, "--json").stdout)["rows"] == one.num_rows
    drawn = [read_table(str(survey / f"{name}-drawn.parquet"))["galaxy_id"].to_pylist() for name in ("one", "poo")]
    assert drawn[0] == drawn[1] != []


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("pool", ("--partition-by", "splt"), "no partitions by 'splt' (did you mean 'split'?)"),
        ("pool", ("--partition-by", "split", "--partition-by", "split"), "a column is given twice"),
        ("-", ("--partition-by", "split"), "- cannot be a folder of parquet files"),
        ("pool.csv", ("--partition-by", "split"), "pool.csv cannot be a folder of parquet files"),
    ],
)
def test_partitions_that_cannot_be_are_refused(survey, lensctl, output, options, message):
    done = lensctl("pool", "sweep-0.fits", output, "--lenses", "lenses.csv", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_files_are_cut_by_rows_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(partitioned, "ROWS_A_FILE", 300)
    monkeypatch.setattr(partitioned, "ROW_GROUP_ROWS", 100)
    monkeypatch.setattr(partitioned, "LEAST_GROUP_ROWS", 100)
    rows = toys.pool(3000)
    for name, size in (("a", 1000), ("b", 37)):
        writer = partitioned.Writer(tmp_path / name, rows.schema, ["type"])
        for batch in rows.combine_chunks().to_batches(max_chunksize=size):
            writer.write(batch)
        writer.close((Step("made", {}),))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    files = sorted((tmp_path / "a" / "type=REX").iterdir())
    assert [path.name for path in files[:2]] == ["part-00000.parquet", "part-00001.parquet"]
    assert [pq.read_metadata(path).num_rows for path in files[:-1]] == [300] * (len(files) - 1)
    of_type = rows.filter(pa.compute.equal(rows["type"], "REX"))
    assert pa.concat_tables(map(pq.read_table, files))["galaxy_id"].equals(of_type["galaxy_id"])


def test_rows_without_a_value_have_a_partition_that_all_readers_know(tmp_path):
    rows = toys.pool(100)
    at = rows.column_names.index("nobs_z_bin")
    rows = rows.set_column(at, "nobs_z_bin", pa.array([None, "3-5", "11+", "1-2"] * 100, pa.string())[: rows.num_rows])
    writer = partitioned.Writer(tmp_path / "pool", rows.schema, ["nobs_z_bin"])
    for batch in rows.to_batches():
        writer.write(batch)
    writer.close(())
    back = read_table(str(tmp_path / "pool")).select(rows.column_names)
    assert back.sort_by("galaxy_id").equals(rows.sort_by("galaxy_id"))
    with Database() as database:
        database.scan("pool", str(tmp_path / "pool"))
        counted = database.query("SELECT nobs_z_bin, count(*) AS n FROM pool GROUP BY 1 ORDER BY 1 NULLS FIRST")
    assert counted["nobs_z_bin"].to_pylist() == [None, "1-2", "11+", "3-5"]


def test_workers_and_order_of_files_do_not_matter(survey, lensctl):
    for output, workers, files in (("a.parquet", 1, (0, 1, 2)), ("b.parquet", 2, (2, 0, 1))):
        names = [f"sweep-{i}.fits" for i in files]
        assert lensctl("pool", *names, output, "--lenses", "lenses.csv", "--workers", workers).returncode == 0
    assert (survey / "a.parquet").read_bytes() == (survey / "b.parquet").read_bytes()


def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(survey, lensctl):
    for i in range(3, 9):
        toys.write_fits(toys.rows(60_000, seed=i, ra=10.0 + 5 * i), survey / f"sweep-{i}.fits")
    arguments = [
        "pool",
        *sorted(p.name for p in survey.glob("sweep-*.fits")),
        "--lenses",
        "lenses.csv",
        "--workers",
        "1",
    ]
    command = [sys.executable, "-m", "lensctl", *arguments[:-4], "killed.parquet", *arguments[-4:]]
    process = subprocess.Popen(command, cwd=survey, stderr=subprocess.DEVNULL)
    parts = survey / ".killed.parquet.part"
    until = time.monotonic() + 30
    while not list(parts.glob("whole/*.fits.json")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (survey / "killed.parquet").exists()
    assert list(parts.glob("whole/*.fits.json"))
    assert lensctl("pool", "sweep-0.fits", "killed.parquet", "--lenses", "lenses.csv").returncode == 2  # another job
    assert lensctl(*command[3:]).returncode == 0
    assert lensctl(*arguments[:-4], "straight.parquet", *arguments[-4:]).returncode == 0
    assert (survey / "killed.parquet").read_bytes() == (survey / "straight.parquet").read_bytes()
    assert not parts.exists()
    again = lensctl(*command[3:])
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True)


@pytest.fixture
def remote(survey, bucket, monkeypatch):
    """The survey's sweeps in a bucket, and a cache folder of our own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(survey / "cache"))
    for i in range(3):
        s3.upload(survey / f"sweep-{i}.fits", f"s3://{bucket}/sweeps/sweep-{i}.fits")
    return f"s3://{bucket}"


def test_from_s3_to_s3_is_what_it_is_on_disk(survey, remote, lensctl):
    for output in ("pool.parquet", f"{remote}/made/pool.parquet"):
        done = lensctl("pool", f"{remote}/sweeps/*.fits", output, "--lenses", "lenses.csv", "--workers", 1)
        assert done.returncode == 0, done.stderr
    assert s3.read_object(f"{remote}/made/pool.parquet") == (survey / "pool.parquet").read_bytes()
    here = lensctl(
        "pool", *(f"sweep-{i}.fits" for i in range(3)), "here.parquet", "--lenses", "lenses.csv", "--workers", 1
    )
    assert here.returncode == 0
    assert (survey / "here.parquet").read_bytes() == (survey / "pool.parquet").read_bytes()
    again = lensctl(
        "pool", f"{remote}/sweeps/*.fits", f"{remote}/made/pool.parquet", "--lenses", "lenses.csv", "--workers", 1
    )
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True)
    other = lensctl(
        "pool", f"{remote}/sweeps/sweep-0.fits", f"{remote}/made/pool.parquet", "--lenses", "lenses.csv", "--workers", 1
    )
    assert (other.returncode, "exists" in other.stderr) == (2, True)
    assert not list((survey / "cache" / "lensctl").iterdir())


def test_hive_partitions_on_s3_are_read_when_they_are_whole(survey, remote, lensctl):
    arguments = ("pool", f"{remote}/sweeps/*.fits", f"{remote}/made/pool", "--lenses", "lenses.csv", "--workers", 1)
    assert lensctl(*arguments, "--partition-by", "split").returncode == 0
    assert lensctl("pool", "sweep-*.fits", "pool", *arguments[3:], "--partition-by", "split").returncode == 0
    there = {
        url.removeprefix(f"{remote}/made/pool/"): s3.read_object(url) for url in s3.list_objects(f"{remote}/made/pool")
    }
    assert there == tree(survey / "pool")
    write_table(toys.positives(20), str(survey / "positives.parquet"))
    sample = ("sample", f"{remote}/made/pool", "drawn.parquet", "--positives", "positives.parquet")
    s3.write_object(f"{remote}/made/pool/{INCOMPLETE}", b"someone")
    refused = lensctl(*sample)
    assert refused.returncode == 2
    assert "made/pool/ is not whole: what writes it is at work, or died" in refused.stderr
    with pytest.raises(InputError, match="is not whole"):
        files_of(f"{remote}/made/pool/*/*.parquet")
    other = lensctl(*arguments, "--partition-by", "split")  # not what this command began
    assert (other.returncode, "made/pool exists" in other.stderr) == (2, True)
    assert lensctl(*arguments, "--partition-by", "split", "--overwrite").returncode == 0
    assert lensctl(*sample).returncode == 0


def test_a_folder_on_s3_that_was_begun_is_taken_up_by_the_same_writer_alone(tmp_path, bucket):
    url = f"s3://{bucket}/made"
    (tmp_path / "a=1").mkdir()
    write_table(toys.pool(20), str(tmp_path / "a=1" / "part.parquet"))
    with pytest.raises(FileNotFoundError), being_written(url, "me"):
        s3.read_object(f"{url}/nothing")
    s3.upload(tmp_path / "a=1" / "part.parquet", f"{url}/a=0/part.parquet")
    with pytest.raises(InputError, match="is not whole"):
        read_table(url)
    with pytest.raises(InputError, match="exists"):
        upload_folder(tmp_path, url, "another")
    upload_folder(tmp_path, url, "me")
    assert [name.rpartition("made/")[2] for name in s3.list_objects(url)] == ["a=1/part.parquet"]
    with pytest.raises(InputError, match="exists"):
        upload_folder(tmp_path, url, "me")
    with pytest.raises(InputError, match="is a whole bucket"):
        upload_folder(tmp_path, f"s3://{bucket}/", "me", overwrite=True)


def test_a_folder_on_disk_that_is_not_whole_is_refused(tmp_path):
    write_table(toys.pool(20), str(tmp_path / "part.parquet"))
    (tmp_path / INCOMPLETE).touch()
    with pytest.raises(InputError, match="is not whole"):
        read_table(str(tmp_path))


def test_a_run_towards_s3_that_is_killed_leaves_nothing_there_and_goes_on(survey, remote, lensctl):
    for i in range(3, 9):
        toys.write_fits(toys.rows(60_000, seed=i, ra=10.0 + 5 * i), survey / f"sweep-{i}.fits")
    command = ["pool", *(f"sweep-{i}.fits" for i in range(9)), f"{remote}/killed.parquet"]
    command += ["--lenses", "lenses.csv", "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-m", "lensctl", *command], cwd=survey, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (notes := list((survey / "cache").glob("lensctl/.*.part/whole/*.json"))) and time.monotonic() < until:
        time.sleep(0.005)
    process.kill()
    process.wait()
    written = {note: note.stat().st_mtime_ns for note in notes}
    assert written
    assert not s3.exists(f"{remote}/killed.parquet")
    assert lensctl(*command, "--preset", "paper4").returncode == 2  # another job
    assert all(note.stat().st_mtime_ns == when for note, when in written.items())
    assert lensctl(*command).returncode == 0
    assert lensctl(*command[:-5], "straight.parquet", *command[-4:]).returncode == 0
    assert s3.read_object(f"{remote}/killed.parquet") == (survey / "straight.parquet").read_bytes()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "S3 says"),
        ("AWS_REGION", "", "no AWS region is configured"),
    ],
)
def test_what_s3_refuses_is_a_sentence(survey, remote, lensctl, monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    done = lensctl("pool", f"{remote}/sweeps/*.fits", "pool.parquet", "--lenses", "lenses.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(survey.glob("*pool.parquet*"))
