from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from lensctl.injection.design import DEFAULT
from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from lensctl.selection.populating import lenses_in, population, with_redshift
from lensctl.selection.sie_vdf import Assumptions
from tests.toys import population_hosts
from tests.toys.reporters import Saying

AXES = ("theta_e", "arc_mag_r", "magnification", "psfsize_r", "psfdepth_r", "mag_z", "shape_r", "source_r_half",
        "delta_g_minus_r", "source_n", "lens_q")  # fmt: skip


@pytest.fixture(scope="module")
def hosts() -> pa.Table:
    return population_hosts.rows_of(300)


@pytest.fixture(scope="module")
def made(hosts) -> pa.Table:
    return lenses_in(hosts, 400, 42, Assumptions(), DEFAULT, LS_DR10, workers=1)[0]


def column(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].to_numpy(), np.float64)


def test_every_axis_is_there_and_finite(made):
    for name in (*AXES, "weight"):
        assert np.isfinite(column(made, name)).all(), name
    assert len(set(made["galaxy_id"].to_pylist())) == 400


def test_magnitudes_are_of_one_source(made):
    mu = column(made, "magnification")
    assert np.allclose(column(made, "lensed_mag_r"), column(made, "source_mag_r") - 2.5 * np.log10(mu))
    for band in "grz":
        dimmer = column(made, f"arc_mag_{band}") - column(made, f"lensed_mag_{band}")
        assert np.allclose(dimmer, -2.5 * np.log10(column(made, f"mw_transmission_{band}")))
    colour = column(made, "source_mag_g") - column(made, "source_mag_r")
    assert np.allclose(colour, column(made, "source_g_minus_r"))
    assert np.allclose(colour.clip(*DEFAULT.colour_1_range), colour)


def test_the_sky_is_one_hosts_and_the_galaxy_another_dimmed_by_that_sky(made, hosts):
    at = {id: row for row, id in enumerate(hosts["galaxy_id"].to_pylist())}
    sky = np.array([at[id] for id in made["sky_host_id"].to_pylist()])
    galaxy = np.array([at[id] for id in made["host_id"].to_pylist()])
    for name in ("psfsize_r", "psfdepth_r", "mw_transmission_r", "healpix_128"):
        assert np.allclose(column(made, name), column(hosts, name)[sky])
    assert np.allclose(column(made, "shape_r"), column(hosts, "shape_r")[galaxy])
    freed = column(hosts, "mag_z")[galaxy] + 2.5 * np.log10(column(hosts, "mw_transmission_z")[galaxy])
    assert np.allclose(column(made, "mag_z"), freed - 2.5 * np.log10(column(made, "mw_transmission_z")), atol=1e-5)
    arc = column(made, "arc_mag_g") - column(made, "arc_mag_r")
    of_host = -2.5 * np.log10(column(hosts, "flux_g") / column(hosts, "flux_r"))[galaxy]
    dust = {b: column(hosts, f"mw_transmission_{b}") for b in "gr"}
    reddened = of_host + 2.5 * np.log10((dust["g"] / dust["r"])[galaxy]) - 2.5 * np.log10((dust["g"] / dust["r"])[sky])
    assert np.allclose(column(made, "delta_g_minus_r"), arc - reddened, atol=1e-5)


def test_lenses_lie_among_the_hosts_in_redshift(made, hosts):
    z = column(hosts, "z_host")
    assert column(made, "z_lens").min() >= z.min()
    assert column(made, "z_lens").max() <= z.max()
    assert np.median(np.abs(column(made, "z_lens") - column(made, "z_host"))) < 0.1


def test_the_command_writes_the_same_bytes_and_a_larger_table_begins_with_a_smaller(tmp_path, hosts):
    write_table(hosts, str(tmp_path / "hosts.parquet"))
    for name, count in (("a", 30), ("b", 30), ("c", 60)):
        told = population(tmp_path / f"{name}.parquet", hosts=tmp_path / "hosts.parquet", count=count, workers=1)
    a, b, c = ((tmp_path / f"{name}.parquet").read_bytes() for name in "abc")
    assert a == b != c
    assert read_table(str(tmp_path / "c.parquet")).slice(0, 30).equals(read_table(str(tmp_path / "a.parquet")))
    step = chain_of(read_table(str(tmp_path / "c.parquet")))[-1]
    assert step.command == "selection population"
    assert step.parameters["assumptions"] == {**dataclasses.asdict(Assumptions()), "model": "sie-vdf"}
    assert told["assumptions"]["sigma_star_km_s"] == 161.0
    assert set(told["share"]) == {
        "fainter_than_design", "brighter_than_design", "other_einstein_radius", "host_farther_than_0.05_in_z",
    }  # fmt: skip


def test_the_share_beyond_the_faint_end_is_told_and_stays_in_the_table(tmp_path, hosts):
    write_table(hosts, str(tmp_path / "hosts.parquet"))
    told = population(tmp_path / "p.parquet", hosts=tmp_path / "hosts.parquet", count=500, workers=1)
    table = read_table(str(tmp_path / "p.parquet"))
    weight, lensed = column(table, "weight"), column(table, "lensed_mag_r")
    assert told["share"]["fainter_than_design"] == pytest.approx(weight[lensed > 24].sum() / weight.sum(), abs=1e-5)
    assert told["share"]["fainter_than_design"] > 0.5
    assert told["rows"] == table.num_rows == 500


def test_hosts_of_unknown_redshift_are_left_out_and_counted(tmp_path, hosts):
    z = hosts["z_host"].to_pylist()
    z[:100] = [None] * 99 + [-99.0]
    some = hosts.set_column(hosts.schema.get_field_index("z_host"), "z_host", pa.array(z, pa.float32()))
    write_table(some, str(tmp_path / "hosts.parquet"))
    told = population(tmp_path / "p.parquet", hosts=tmp_path / "hosts.parquet", count=20, workers=1)
    assert (told["hosts"], told["hosts_without_z"]) == (200, 100)


def test_a_remark_says_where_hosts_are_far_from_their_lenses(tmp_path, hosts):
    z = np.where(np.arange(300) % 2, 0.1, 0.8)
    some = hosts.set_column(hosts.schema.get_field_index("z_host"), "z_host", pa.array(z, pa.float32()))
    write_table(some, str(tmp_path / "hosts.parquet"))
    said = Saying()
    told = population(tmp_path / "p.parquet", hosts=tmp_path / "hosts.parquet", count=200, workers=1, report=said)
    assert told["share"]["host_farther_than_0.05_in_z"] > 0.5
    assert any("has a galaxy farther than 0.05 in redshift" in text for text in said.said)


def test_four_bands_have_their_magnitudes():
    rows = population_hosts.rows_of(60)
    for name in ("flux", "psfsize", "mw_transmission"):
        rows = rows.append_column(f"{name}_i", rows[f"{name}_z"])
    table, _ = lenses_in(rows, 20, 1, Assumptions(), DEFAULT, LS_DR10_GRIZ, workers=1)
    order = [column(table, f"source_mag_{band}") for band in "riz"]
    between = np.sort(np.stack(order), axis=0)[1]
    assert np.allclose(between, order[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (population_hosts.without_redshift, "z_host is null for all 60 hosts: lenses have no redshift"),
        (lambda t: t.drop_columns("z_host"), "column 'z_host' is missing"),
        (lambda t: t.drop_columns("psfdepth_r"), "column 'psfdepth_r' is missing"),
        (lambda t: _with(t, "shape_r", 0.0), "shape_r is unknown for 1 of 60 hosts"),
        (lambda t: _with(t, "mag_z", float("nan")), "mag_z is unknown for 1 of 60 hosts"),
        (lambda t: _with(t, "psfdepth_r", None), "psfdepth_r is unknown for 1 of 60 hosts"),
        (lambda t: _with(t, "flux_g", 0.0), "flux_g is unknown for 1 of 60 hosts"),
        (lambda t: _with(t, "psfsize_g", 0.0), "psfsize_g is missing, 0 or NaN for 1 of 60 hosts"),
    ],
)
def test_hosts_that_lack_something_are_refused_in_a_sentence(change, message):
    with pytest.raises(InputError, match=message):
        with_redshift(change(population_hosts.rows_of(60)), "hosts.parquet", LS_DR10)


def _with(table: pa.Table, name: str, value: object) -> pa.Table:
    values = table[name].to_pylist()
    values[3] = value
    kind = table.schema.field(name).type
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, kind))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"model": "nfw"}, "--model 'nfw' does not exist"), ({"count": 0}, "count is 0"),
     ({"assumptions": ["alpha"]}, "'' is not a number")],
)  # fmt: skip
def test_bad_options_write_nothing(tmp_path, options, message):
    write_table(population_hosts.rows_of(20), str(tmp_path / "hosts.parquet"))
    with pytest.raises(InputError, match=message):
        population(tmp_path / "p.parquet", hosts=tmp_path / "hosts.parquet", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["hosts.parquet"]
