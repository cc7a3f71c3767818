"""`lensctl pool`: one bad file is named, a killed run goes on, and partitions and S3 hold the same rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.provenance.steps import chain_of
from lensctl.io.storage import s3
from lensctl.io.storage.incomplete import INCOMPLETE
from lensctl.io.tables.files import read_table, write_table
from lensctl.io.tables.paths import files_of
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys
from tests.toys.folders import tree

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
    assert "1 of 3 files are bad, first sweep-1.fits: cannot be read as FITS (truncated" in refused.stderr
    assert not (survey / "pool.parquet").exists()
    allowed = lensctl(*arguments, "--skip-bad", 1)
    assert allowed.returncode == 0, allowed.stderr
    assert set(pq.read_table(survey / "pool.parquet")["sweep_file"].to_pylist()) == {"sweep-0.fits", "sweep-2.fits"}


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
        ("pool", ("--partition-by", "splt"), "cannot partition by 'splt' (did you mean 'split'?)"),
        ("pool", ("--partition-by", "split", "--partition-by", "split"), "--partition-by names a column twice"),
        ("-", ("--partition-by", "split"), "- cannot be a folder of parquet files"),
        ("pool.csv", ("--partition-by", "split"), "pool.csv cannot be a folder of parquet files"),
    ],
)
def test_partitions_that_cannot_be_are_refused(survey, lensctl, output, options, message):
    done = lensctl("pool", "sweep-0.fits", output, "--lenses", "lenses.csv", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


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
    assert "made/pool/ is incomplete: still being written, or interrupted" in refused.stderr
    with pytest.raises(InputError, match="is incomplete"):
        files_of(f"{remote}/made/pool/*/*.parquet")
    other = lensctl(*arguments, "--partition-by", "split")  # not what this command began
    assert (other.returncode, "made/pool exists" in other.stderr) == (2, True)
    assert lensctl(*arguments, "--partition-by", "split", "--overwrite").returncode == 0
    assert lensctl(*sample).returncode == 0


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


MAPPED = """
name: shallow
base: ls-dr10
columns:
  galaxy_id: id
  ra: RAJ2000
  dec: DEJ2000
  flux_g: {from: mag_g, unit: mag}
  flux_r: {from: mag_r, unit: mag}
  flux_z: {from: mag_z, unit: mag}
  shape_r: {from: size, unit: arcsec}
  type: class
"""


@pytest.fixture
def mapped(tmp_path):
    """A catalogue of nine columns, with names and units of its own, in two files."""
    (tmp_path / "lenses.csv").write_text(LENSES)
    (tmp_path / "shallow.yaml").write_text(MAPPED)
    raw = toys.rows(400)
    magnitudes = {f"mag_{b}": 22.5 - 2.5 * np.log10(raw[f"flux_{b}"].to_numpy().astype(float)) for b in "grz"}
    table = pa.table(
        {
            "id": [f"s{i}" for i in range(400)],
            "RAJ2000": raw["ra"],
            "DEJ2000": raw["dec"],
            **magnitudes,
            "size": raw["shape_r"],
            "class": raw["type"],
            "note": ["x"] * 400,
        }
    )
    write_table(table.slice(0, 250), str(tmp_path / "a.csv"))
    write_table(table.slice(250), str(tmp_path / "b.csv"))
    return table


def test_a_catalogue_of_magnitudes_size_and_type_makes_a_pool(mapped, lensctl, tmp_path):
    arguments = ("pool", "a.csv", "b.csv", "pool.parquet", "--lenses", "lenses.csv", "--survey", "shallow.yaml")
    done = lensctl(*arguments)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "pool.parquet")
    wanted = [
        id
        for id, kind in zip(mapped["id"].to_pylist(), mapped["class"].to_pylist(), strict=True)
        if kind in ("SER", "DEV", "REX")
    ]
    assert rows["galaxy_id"].to_pylist() == wanted
    np.testing.assert_allclose(
        rows["mag_r"].to_numpy(),
        [
            m
            for m, k in zip(mapped["mag_r"].to_pylist(), mapped["class"].to_pylist(), strict=True)
            if k in ("SER", "DEV", "REX")
        ],
        atol=1e-5,
    )
    blue = (rows["g_minus_r"].to_numpy() <= 0.4) & (rows["mag_r"].to_numpy() <= 20.5)
    large = (rows["shape_r"].to_numpy() >= 2.0) & (rows["flux_r"].to_numpy() >= 3)
    assert rows["confuser_category"].to_pylist() == [
        "blue_clumpy" if b else "large_galaxy" if big else None for b, big in zip(blue, large, strict=True)
    ]
    assert "nobs_z_bin" not in rows.column_names

    skipped = ["maskbits == 0 (no maskbits)", "nobs_g >= 1 (no nobs_g)", "nobs_r >= 1 (no nobs_r)"]
    skipped += ["nobs_z >= 3 (no nobs_z)", "class ring_proxy (no sersic)"]
    skipped += ["class edge_on_proxy (no shape_e1, shape_e2)"]
    assert json.loads(done.stdout)["not_applied"] == skipped
    assert all(f"not applied: {text}" in " ".join(done.stderr.split()) for text in skipped[:1])
    step = chain_of(rows)[-1]
    assert (step.survey.name, step.parameters["not_applied"]) == ("shallow", skipped)
    assert "nothing to do" in lensctl(*arguments).stderr


def test_two_files_of_one_survey_have_the_same_columns(mapped, lensctl, tmp_path):
    write_table(read_table(str(tmp_path / "b.csv")).drop_columns(["size"]), str(tmp_path / "b.csv"), overwrite=True)
    done = lensctl("pool", "a.csv", "b.csv", "pool.parquet", "--lenses", "lenses.csv", "--survey", "shallow.yaml")
    assert done.returncode == 2
    assert "b.csv: columns missing: shape_r (from size)" in done.stderr
    assert not (tmp_path / "pool.parquet").exists()


def test_criteria_are_changed_by_band_and_by_expression(survey, lensctl):
    done = lensctl(
        *("pool", "sweep-0.fits", "pool.parquet", "--lenses", "lenses.csv"),
        *("--min-nobs", "z=6", "--max-mag", "r=21", "--criterion", "ebv=ebv < 0.1"),
    )
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(survey / "pool.parquet")
    assert (min(rows["nobs_z"].to_pylist()), max(rows["mag_r"].to_pylist()) < 21) == (6, True)
    old = lensctl("pool", "sweep-0.fits", "-", "--lenses", "lenses.csv", "--min-nobs-z", 6, "--format", "csv")
    assert old.returncode == 0, old.stderr
    for wrong, message in (("z", "--min-nobs z is not BAND=NUMBER"), ("Y=3", "survey ls-dr10 has no band 'Y'")):
        refused = lensctl("pool", "sweep-0.fits", "other.parquet", "--lenses", "lenses.csv", "--min-nobs", wrong)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr
