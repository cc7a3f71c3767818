"""The pool: criteria, classes and columns as the plan has them; one bad file is named; a killed run goes on."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl import pool
from lensctl.doors import tables
from lensctl.words import geometry, split, strata
from lensctl.words.errors import InputError
from tests import toys

NONE = np.zeros(0)


def kept(path, criteria=pool.PRESETS["plan"], lens_ra=NONE, lens_dec=NONE):
    return pool.select(str(path), criteria, lens_ra, lens_dec)


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
    rows, _ = kept(toys.write_fits(raw, tmp_path / "s.fits"), pool.PRESETS["paper4"])
    assert min(min(rows[f"nobs_{band}"].to_pylist()) for band in "grz") >= 3
    assert max(rows["mag_z"].to_pylist()) < 20
    assert max(rows["dec"].to_pylist()) < 32
    bit_three = dataclasses.replace(pool.PRESETS["paper4"], masked_bits=(3,))
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
    columns = {name: rows[name].to_numpy(zero_copy_only=False) for name in strata.CONFUSER_COLUMNS}
    assert rows["confuser_category"].to_pylist() == list(strata.confuser_category(columns))
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
    assert kept(path, dataclasses.replace(pool.PRESETS["plan"], max_mag_z=30.0))[0].num_rows == 0


def test_tractor_rows_of_a_neighbouring_brick_are_left_out(tmp_path):
    primary = np.arange(200) % 2 == 0
    path = toys.write_fits(toys.rows(200), tmp_path / "t.fits", brick_primary=primary)
    rows, funnel = kept(path)
    assert funnel.read == 100
    assert all(i % 2 == 0 for i in rows["row_index"].to_pylist())


@pytest.mark.parametrize("ending", ["fits", "fits.gz", "parquet"])
def test_fits_and_parquet_give_the_same_rows(tmp_path, ending):
    raw = toys.rows(300)
    path = tmp_path / f"s.{ending}"
    toys.write_fits(raw, path) if "fits" in ending else tables.write(raw, str(path))
    expected = kept(toys.write_fits(raw, tmp_path / "x" / "plain.fits"))[0].drop_columns(["sweep_file"])
    assert kept(path)[0].drop_columns(["sweep_file"]).equals(expected)


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
    assert "sweep-1.fits: cannot be read as FITS" in refused.stderr
    assert not (survey / "pool.parquet").exists()
    allowed = lensctl(*arguments, "--skip-bad", 1)
    assert allowed.returncode == 0, allowed.stderr
    assert set(pq.read_table(survey / "pool.parquet")["sweep_file"].to_pylist()) == {"sweep-0.fits", "sweep-2.fits"}


def test_workers_and_order_of_files_do_not_matter(survey, lensctl):
    for output, workers, files in (("a.parquet", 1, (0, 1, 2)), ("b.parquet", 2, (2, 0, 1))):
        names = [f"sweep-{i}.fits" for i in files]
        assert lensctl("pool", *names, output, "--lenses", "lenses.csv", "--workers", workers).returncode == 0
    assert (survey / "a.parquet").read_bytes() == (survey / "b.parquet").read_bytes()


def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(survey, lensctl):
    for i in range(3, 9):
        toys.write_fits(toys.rows(3000, seed=i, ra=10.0 + 5 * i), survey / f"sweep-{i}.fits")
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
    while not list(parts.glob("whole/*.fits.parquet")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (survey / "killed.parquet").exists()
    assert list(parts.glob("whole/*.fits.parquet"))
    assert lensctl("pool", "sweep-0.fits", "killed.parquet", "--lenses", "lenses.csv").returncode == 2  # another job
    assert lensctl(*command[3:]).returncode == 0
    assert lensctl(*arguments[:-4], "straight.parquet", *arguments[-4:]).returncode == 0
    assert (survey / "killed.parquet").read_bytes() == (survey / "straight.parquet").read_bytes()
    assert not parts.exists()
    again = lensctl(*command[3:])
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True)
