"""`selection observe`: every row keeps its columns and gets what its own cutout shows; what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.injection import observables
from lensctl.io.cutouts.store import open_store
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection import observe, observing
from tests.toys.hosts import PSFSIZE
from tests.toys.injections import spoiled

NAMES = observables.names(LS_DR10)


def changed(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))


def observed(table, store, folder, **how) -> pa.Table:
    write_table(table, str(folder / "t.parquet"), overwrite=True)
    observe(folder / "t.parquet", store, folder / "o.parquet", workers=1, overwrite=True, **how)
    return read_table(str(folder / "o.parquet"))


def test_rows_keep_their_columns_and_order_and_get_what_their_own_cutouts_show(scores, injected, tmp_path, monkeypatch):
    monkeypatch.setattr(observing, "BLOCK_ROWS", 4)
    order = np.random.default_rng(0).permutation(18)[:11]
    table = read_table(str(scores)).take(order)
    rows = observed(table, injected, tmp_path)
    assert rows.column_names == [*table.column_names, *NAMES]
    assert digests.of_table(rows.select(table.column_names)) == digests.of_table(table)
    wanted = observables.observe(
        open_store(injected).read(order), np.tile(PSFSIZE.astype(np.float32), (11, 1)).astype(float), LS_DR10
    )
    for name in NAMES:
        np.testing.assert_allclose(rows[name].to_numpy().astype(float), wanted[name], rtol=1e-6)
    chain = chain_of(rows)
    assert [step.command for step in chain][-1] == "selection observe"
    assert {"inject", "score"} <= {step.command for step in chain}


def test_scores_of_injections_carry_what_was_injected(scores):
    table = read_table(str(scores))
    bands = [f"{name}_{b}" for name in ("arc_mag", "lensed_mag", "psfsize", "psfdepth", "gain") for b in "grz"]
    named = ["host_id", "k", "control", "theta_e", "magnification", "split", "mag_z", "shape_r", "design_digest"]
    assert {*named, *bands, "logit", "embedding"} <= set(table.column_names)
    assert table["host_id"].to_pylist() == [id.partition("#")[0] for id in table["galaxy_id"].to_pylist()]
    assert table["logit"].null_count == 0


def test_a_row_without_a_good_cutout_gets_nulls_and_needs_no_psf(scores, injected, tmp_path):
    def spoil(pixels, columns):
        pixels["images"][4] = np.nan
        columns["cutout_ok"] = np.where(np.arange(18) == 4, False, columns["cutout_ok"])

    store = spoiled(injected, tmp_path / "spoiled.zarr", spoil)
    table = read_table(str(scores)).drop_columns(["cutout_sha256"])
    psfsize = table["psfsize_g"].to_pylist()
    psfsize[4] = None
    rows = observed(changed(table, "psfsize_g", psfsize), store, tmp_path)
    for name in NAMES:
        assert rows[name].is_null().to_pylist() == [i == 4 for i in range(18)], name


def test_psfsize_is_that_of_the_table_or_else_of_the_index(scores, injected, tmp_path):
    table = read_table(str(scores))
    bare = table.drop_columns([f"psfsize_{b}" for b in "grz"])
    assert observed(bare, injected, tmp_path)["obs_theta"].equals(observed(table, injected, tmp_path)["obs_theta"])
    other = changed(table, "psfsize_g", [2.0] * 18)
    assert not observed(other, injected, tmp_path)["obs_snr_g"].equals(observed(table, injected, tmp_path)["obs_snr_g"])
    meta = {"meta_psfsize_g": [1.0], "meta_psfsize_r": [2.0], "psfsize_z": [3.0], "meta_psfsize_z": [9.0]}
    found = observing.psfsize_of(pa.table({"psfsize_r": [5.0]}), pa.table(meta), "t", LS_DR10)
    assert found.tolist() == [[1.0, 5.0, 3.0]]


def test_what_cannot_be_observed_is_a_sentence_and_writes_nothing(scores, injected, hosts, tmp_path):
    table = read_table(str(scores))
    for made, store, message in (
        (table, hosts.store, "18 of 18 rows of t.parquet have no cutout, such as"),
        (
            changed(table, "cutout_sha256", ["0" * 64] * 18),
            injected,
            "18 rows of t.parquet were scored on other pixels",
        ),
        (changed(table, "psfsize_r", [1.2] * 17 + [0.0]), injected, "psfsize_r is missing, 0 or NaN for 1 of 18 rows"),
        (changed(table, "psfsize_r", [None] + [1.2] * 17), injected, "psfsize_r is missing, 0 or NaN for 1 of 18 rows"),
        (table.append_column("obs_theta", table["theta_e"]), injected, "already has a column 'obs_theta'"),
        (table.drop_columns(["galaxy_id"]), injected, "column 'galaxy_id' is missing"),
    ):
        write_table(made, str(tmp_path / "t.parquet"), overwrite=True)
        with pytest.raises(InputError) as error:
            observe(tmp_path / "t.parquet", store, tmp_path / "o.parquet", workers=1)
        assert message in str(error.value).replace(f"{tmp_path}/", "")
        assert not (tmp_path / "o.parquet").exists()
    with pytest.raises(InputError, match="no psfsize_g, neither there nor in the index of the store"):
        observing.psfsize_of(pa.table({"a": [1]}), pa.table({"b": [1]}), "t", LS_DR10)
    with pytest.raises(InputError, match="psfsize_g is string, not a number"):
        observing.psfsize_of(pa.table({f"psfsize_{b}": ["wide"] for b in "grz"}), pa.table({"b": [1]}), "t", LS_DR10)


@pytest.mark.parametrize(
    ("size", "bands", "message"),
    [(48, ("g", "r", "z"), "48 px have no blank sky around a lens"), (101, ("g", "r"), "bands are g, r")],
)
def test_cutouts_that_show_no_sky_or_other_bands_are_refused(size, bands, message):
    with pytest.raises(InputError, match=message):
        observables.refuse_unfit(size, bands, LS_DR10, "s.zarr")
