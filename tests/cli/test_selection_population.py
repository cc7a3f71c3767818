"""`lensctl selection population|apply`: options reach the functions, and bad ones are a sentence."""

from __future__ import annotations

import json

import pytest

from lensctl.io.tables.files import read_table, write_table
from tests.toys import population_hosts


@pytest.fixture
def hosts(tmp_path):
    write_table(population_hosts.rows_of(80), str(tmp_path / "hosts.parquet"))


def test_a_population_is_made_by_options_and_the_receipt_names_every_assumption(lensctl, tmp_path, hosts):
    (tmp_path / "d.yaml").write_text("theta_e_arcsec: [0.8, 2.0]\n")
    options = ("--count", "30", "--seed", "7", "--set", "sigma_star_km_s=165", "--set", "z_source_most=4")
    done = lensctl("selection", "population", "p.parquet", "--hosts", "hosts.parquet", "--design", "d.yaml", *options)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["command"], told["action"], told["rows"]) == ("selection", "population", 30)
    assert (told["assumptions"]["sigma_star_km_s"], told["assumptions"]["z_source_most"]) == (165, 4)
    theta_e = read_table(str(tmp_path / "p.parquet"))["theta_e"].to_numpy()
    assert theta_e.min() >= 0.8
    assert theta_e.max() <= 2.0


def test_a_config_file_sets_the_options_of_an_action(lensctl, tmp_path, hosts):
    (tmp_path / "c.yaml").write_text("count: 12\nhosts: hosts.parquet\n")
    done = lensctl("selection", "population", "p.csv", "--config", "c.yaml")
    assert done.returncode == 0, done.stderr
    assert read_table(str(tmp_path / "p.csv")).num_rows == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("population", "p.parquet"), "Missing option '--hosts'"),
        (("population", "p.parquet", "--hosts", "hosts.parquet", "--model", "nfw"), "--model 'nfw' does not exist"),
        (("population", "p.parquet", "--hosts", "hosts.parquet", "--set", "alfa=1"), "did you mean 'alpha'"),
        (("population", "p.parquet", "--hosts", "hosts.parquet", "--count", "0"), "--count"),
        (("population", "p.txt", "--hosts", "hosts.parquet"), "p.txt"),
        (("apply", "nowhere", "hosts.parquet", "p.parquet"), "selection.json: cannot be read"),
        (("apply", "nowhere", "hosts.parquet", "p.parquet", "--min-neff", "nan"), "--min-neff"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_writes_nothing(lensctl, tmp_path, hosts, arguments, message):
    done = lensctl("selection", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["hosts.parquet"]


def test_hosts_of_unknown_redshift_end_with_2_and_what_to_do(lensctl, tmp_path):
    write_table(population_hosts.without_redshift(population_hosts.rows_of(20)), str(tmp_path / "hosts.parquet"))
    done = lensctl("selection", "population", "p.parquet", "--hosts", "hosts.parquet")
    assert done.returncode == 2
    assert "error: hosts.parquet: z_host is null for all 20 hosts: lenses have no redshift" in done.stderr
    assert "z_phot" in done.stderr
