"""What `selection fit` refuses: each by its sentence, and nothing is written."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.tables.files import read_table, write_table
from lensctl.rules import split
from lensctl.rules.errors import InputError
from tests.toys.measured_injections import Toy, at, fitted, places

OTHER_MODEL = "sha256:" + "0" * 64


def injections(toy: Toy, **changes: object) -> pa.Table:
    return toy.stamped(toy.injection_columns() | changes)


def hosts(toy: Toy, **changes: object) -> pa.Table:
    return toy.stamped(toy.host_columns() | changes)


def in_train(toy: Toy) -> pa.Table:
    ra, dec, pixel = places(1, 1, "train")
    return hosts(toy, ra=at(toy.ra, 0, ra[0]), dec=at(toy.dec, 0, dec[0]), healpix_128=at(toy.pixel, 0, int(pixel[0])))


def at_border(toy: Toy) -> pa.Table:
    """A host 1 arcsec inside the test split."""
    steps = np.arange(0, 2, 1 / 3600)
    out = next(s for s in steps if split.split_of(int(split.healpix(toy.ra[0], toy.dec[0] + s))) != "test")
    dec = toy.dec[0] + out - 1 / 3600
    return hosts(toy, dec=at(toy.dec, 0, dec), healpix_128=at(toy.pixel, 0, int(split.healpix(toy.ra[0], dec))))


def pixel_of(toy: Toy, table: pa.Table) -> pa.Table:
    """Injections whose first host lies where a table of hosts has it."""
    pixel = np.array(toy.pixel)
    pixel[0] = table["healpix_128"][0].as_py()
    return injections(toy, healpix_128=pixel[toy.made.host])


REFUSED = {
    "another model": (
        {"injections": lambda toy: toy.stamped(toy.injection_columns(), OTHER_MODEL)},
        r"injections.parquet: its scores are of another model",
    ),
    "hosts of another model": (
        {"hosts": lambda toy: toy.stamped(toy.host_columns(), OTHER_MODEL)},
        r"hosts.parquet: its scores are of another model",
    ),
    "no provenance": (
        {"injections": lambda toy: pa.table(toy.injection_columns())},
        r"injections.parquet: its scores are of no model that is known",
    ),
    "test-time augmentation": (
        {"hosts": lambda toy: toy.stamped(toy.host_columns(), tta=True)},
        r"hosts.parquet: scored with --tta, but frozen has thresholds of scores without --tta",
    ),
    "hosts of train": (
        {"hosts": in_train},
        r"hosts.parquet: 1 of 600 hosts lie outside the test split of the model, such as host_0",
    ),
    "a cutout over the border": (
        {"hosts": at_border},
        r"hosts.parquet: 1 of 600 hosts have a cutout that reaches sky of train or val, such as host_0",
    ),
    "another pixel": (
        {"hosts": lambda toy: hosts(toy, healpix_128=at(toy.pixel, 0, 7))},
        r"hosts.parquet: healpix_128 is not that of ra, dec",
    ),
    "a host missing": (
        {"hosts": lambda toy: hosts(toy, galaxy_id=at(toy.ids, 0, "host_x"))},
        r"losses do not add up: 1 hosts of .*hosts.parquet have no injection in .*injections.parquet, such as host_x",
    ),
    "an injection missing": (
        {"injections": lambda toy: injections(toy).slice(1)},
        r"losses do not add up: 1 hosts of .*injections.parquet have not 5 injections each, such as host_0",
    ),
    "pixels of other hosts": (
        {"injections": lambda toy: injections(toy, healpix_128=np.roll(toy.pixel, 50)[toy.made.host])},
        r"injections.parquet: healpix_128 is not that of the hosts in .*hosts.parquet",
    ),
    "controls among them": (
        {"injections": lambda toy: injections(toy, control=["grey"] * 3000)},
        r"injections.parquet: its rows are of control grey, no plain injections",
    ),
    "a name of its own": (
        {"injections": lambda toy: injections(toy, k=at(toy.k, 3, 9))},
        r"injections.parquet: host_0#3 is not named after its host and number",
    ),
    "a score of a bad cutout": (
        {"injections": lambda toy: injections(toy, cutout_ok=np.arange(3000) > 0)},
        r"1 rows without a good cutout have a score, such as host_0#0",
    ),
    "an infinite score": (
        {"injections": lambda toy: injections(toy, logit=at(toy.logit, 0, np.inf))},
        r"1 rows without a good cutout have a score",
    ),
    "a host twice": ({"hosts": lambda toy: hosts(toy, galaxy_id=at(toy.ids, 0, "host_1"))}, r"hosts.parquet: .*host_1"),
    "no axis": (
        {"injections": lambda toy: injections(toy).drop_columns(["theta_e"])},
        r"injections.parquet: .*theta_e",
    ),
    "an axis of text": (
        {"injections": lambda toy: injections(toy, theta_e=["wide"] * 3000)},
        r"injections.parquet: .*theta_e",
    ),
    "nothing detected": (
        {"injections": lambda toy: injections(toy, logit=np.full(3000, -9.0))},
        r"at p=0.5: 0 of 3000 injections were detected, too few for p_det",
    ),
    "nothing scored": (
        {"injections": lambda toy: injections(toy, logit=pa.nulls(3000, pa.float64()))},
        r"no injection has a score and all axes \(pixels that are no numbers\)",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_told_and_nothing_is_written(what, toy, model, tmp_path):
    changes, message = REFUSED[what]
    changed = {name: change(toy) for name, change in changes.items()}
    if what in ("hosts of train", "a cutout over the border"):
        changed["injections"] = pixel_of(toy, changed["hosts"])
    toy.write(tmp_path, **changed)
    with pytest.raises(InputError, match=message):
        fitted(tmp_path, tmp_path / "out", model)
    assert not (tmp_path / "out").exists()


def test_tables_whose_columns_are_of_other_kinds_are_refused(toy, model, tmp_path):
    toy.write(tmp_path)
    table = read_table(str(tmp_path / "injections.parquet"))
    extra = [pa.array(["x"] * 1500), pa.array([1.5] * 1500)]
    for number, column in enumerate(extra):
        part = table.slice(1500 * number, 1500).append_column("mine", column)
        write_table(part, str(tmp_path / f"part{number}.parquet"))
    with pytest.raises(InputError, match="a column is of another kind in each"):
        fitted(tmp_path, tmp_path / "out", model, injections=[tmp_path / "part0.parquet", tmp_path / "part1.parquet"])
