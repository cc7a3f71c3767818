"""Sampling: the same rows whatever the layout, the plan's mix, honest weights, nothing near a lens."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.io.tables.files import read_table, write_table
from lensctl.io.tables.scanned import ROW
from lensctl.io.tables.sql import Database
from lensctl.rules import sampling_rule
from lensctl.rules.errors import InputError
from lensctl.rules.strata import divisions, parse_strata
from lensctl.sample.choosing import CHOSEN
from lensctl.sample.planning import NEEDED, Plan, plan
from tests.toys import catalogs as toys

BINS = {"nobs_z_bin": ("3-5", "6-10", "11+"), "type": ("SER", "DEV", "REX")}
POOL = toys.pool(4000)
POSITIVES = toys.positives(30)


@dataclass
class Drawn:
    rows: pa.Table
    plan: Plan


def run(pool=POOL, positives=POSITIVES, path=None, **options):
    read = (*NEEDED, *options.get("by", BINS))
    with Database(threads=options.pop("threads", None)) as database:
        if path is None:
            database.register("pool", pool, columns=read, located=True)
            columns = pool.schema
        else:
            columns = database.scan("pool", str(path), columns=read, located=True).schema
        planned = plan(database, columns, positives, **{"by": BINS, "per_positive": 10, **options})
        database.keep(CHOSEN, planned.sql)
        with tempfile.TemporaryDirectory() as folder:
            database.write_located(CHOSEN, f"{folder}/drawn.arrow", (), rows=planned.rows, overwrite=False, format=None)
            return Drawn(read_table(f"{folder}/drawn.arrow"), planned)


def ids(drawn):
    return drawn.rows["galaxy_id"].to_pylist()


def the_slow_obvious_way(per_positive=10, seed=42):
    chosen = set()
    pool = POOL.select(["galaxy_id", "nobs_z_bin", "type", "pool"]).to_pylist()
    for stratum in {(r["nobs_z_bin"], r["type"]) for r in POSITIVES.to_pylist()}:
        if stratum[0] not in BINS["nobs_z_bin"]:
            continue
        n = sum((r["nobs_z_bin"], r["type"]) == stratum for r in POSITIVES.to_pylist())
        there = {
            p: [r["galaxy_id"] for r in pool if (r["nobs_z_bin"], r["type"], r["pool"]) == (*stratum, p)]
            for p in ("N1", "N2")
        }
        quota = sampling_rule.quota(stratum, n, (len(there["N1"]), len(there["N2"])), n * per_positive, n2_share=0.15)
        for p, take in (("N1", quota.taken_n1), ("N2", quota.taken_n2)):
            chosen |= set(sorted(there[p], key=lambda g: (sampling_rule.order_key(g, seed), g))[:take])
    return sorted(chosen)


def test_it_equals_the_slow_obvious_way():
    assert ids(run()) == the_slow_obvious_way()


def of_vectors():
    """The pool and positives of the written-out vectors, and what is drawn of them."""
    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "selection.json").read_text())
    strata = [name.split("/") for name, count in vectors["positives"].items() for _ in range(count)]
    positives = pa.table({name: [row[i] for row in strata] for i, name in enumerate(("nobs_z_bin", "type"))})
    how = {"by": {"nobs_z_bin": (), "type": ()}, "seed": vectors["seed"]}
    how |= {"per_positive": vectors["negatives_per_positive"], "n1_n2_ratio": tuple(vectors["n1_n2_ratio"])}
    return pa.Table.from_pylist(vectors["pool"]), positives, how, vectors["drawn"]


def test_the_rule_is_that_of_the_vectors():
    pool, positives, how, expected = of_vectors()
    drawn = run(pool=pool, positives=positives, **how).rows
    assert dict(zip(drawn["galaxy_id"].to_pylist(), drawn["sampling_weight"].to_pylist(), strict=True)) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_row_order_file_layout_and_threads_do_not_matter(tmp_path, threads):
    shuffled = POOL.take(pa.array(np.random.default_rng(3).permutation(POOL.num_rows)))
    for i in range(3):
        folder = tmp_path / "pool" / f"part={i}"
        folder.mkdir(parents=True)
        write_table(shuffled.slice(i * 1500, 1500), str(folder / "x.parquet"))
    drawn = run(path=tmp_path / "pool", threads=threads)
    assert ids(drawn) == ids(run())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(0, 12))
def test_a_larger_sample_contains_the_smaller(seed, small, more):
    few, many = run(seed=seed, per_positive=small), run(seed=seed, per_positive=small + more)
    assert set(ids(few)) <= set(ids(many))


def test_another_seed_draws_other_rows():
    assert ids(run(seed=1)) != ids(run(seed=2))


def test_the_weights_give_the_pool_back():
    drawn = run()
    for quota in drawn.plan.quotas:
        mask = pc.and_(
            pc.equal(drawn.rows["nobs_z_bin"], quota.stratum[0]), pc.equal(drawn.rows["type"], quota.stratum[1])
        )
        total = sum(drawn.rows.filter(mask)["sampling_weight"].to_pylist())
        expected = (quota.available_n1 if quota.taken_n1 else 0) + (quota.available_n2 if quota.taken_n2 else 0)
        assert total == pytest.approx(expected)


def test_all_columns_of_the_pool_are_kept():
    drawn = run()
    assert drawn.rows.column_names == [*POOL.column_names, "sampling_weight"]
    assert drawn.rows.drop_columns(["sampling_weight"]).schema.types == POOL.schema.types


def test_the_table_of_strata_adds_up():
    drawn = run()
    table = drawn.plan.strata
    assert sum(table["taken_n1"].to_pylist()) + sum(table["taken_n2"].to_pylist()) == drawn.rows.num_rows
    assert sum(table["positives"].to_pylist()) + drawn.plan.unstratified == POSITIVES.num_rows


def test_a_cap_scales_the_targets():
    assert run(cap=97).rows.num_rows == 97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n1_n2_ratio": (0.85, 0.25)}, "do not add up to 1"),
        ({"positives": POSITIVES.drop_columns(["type"])}, "positives: column 'type' is missing"),
        ({"pool": POOL.drop_columns(["pool"])}, "pool: column 'pool' is missing"),
        ({"positives": POSITIVES.slice(0, 0)}, "no positive lies in any stratum"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        run(**options)


def test_null_ids_are_an_error():
    broken = POOL.set_column(
        0, "galaxy_id", pc.if_else(pc.equal(POOL["galaxy_id"], POOL["galaxy_id"][7]), None, POOL["galaxy_id"])
    )
    with pytest.raises(InputError, match="column 'galaxy_id' is null in 1 rows"):
        run(pool=broken)


def test_one_doubled_id_among_all_is_named_though_it_would_not_be_drawn():
    drawn = set(ids(run()))
    row = next(i for i, name in enumerate(POOL["galaxy_id"].to_pylist()) if name not in drawn)
    with pytest.raises(InputError, match=f"1 values of 'galaxy_id' .* row: {POOL['galaxy_id'][row]}"):
        run(pool=pa.concat_tables([POOL, POOL.slice(row, 1)]))


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(("axis", "value"), [("ra", float("nan")), ("dec", None), ("dec", 91.0), ("ra", -1.0)])
def test_a_position_that_is_none_is_an_error(tmp_path, axis, value, stored):
    """Also in parquet, whose statistics leave NaN out, and which DuckDB believes."""
    place = POOL.schema.get_field_index(axis)
    spoiled = pa.array([value if i == 5 else v for i, v in enumerate(POOL[axis].to_pylist())], pa.float64())
    pool, path = POOL.set_column(place, axis, spoiled), tmp_path / "pool.parquet" if stored else None
    if stored:
        write_table(pool, str(path))
    with pytest.raises(InputError, match="1 rows have a position that is null, NaN or out of range"):
        run(pool=pool, path=path, lenses=pa.table({"ra": [10.0], "dec": [0.0]}))


def test_a_stratum_the_pool_has_not_is_named():
    pool = POOL.filter(pc.invert(pc.and_(pc.equal(POOL["type"], "DEV"), pc.equal(POOL["nobs_z_bin"], "11+"))))
    with pytest.raises(InputError, match=r"no row of stratum 11\+/DEV, which \d+ positives? needs?"):
        run(pool=pool)


def test_bins_are_read_as_the_plan_writes_them():
    assert parse_strata(["nobs_z=3-5,6-10", "type=SER", "split"]) == {
        "nobs_z_bin": ("3-5", "6-10"),
        "type": ("SER",),
        "split": (),
    }
    with pytest.raises(InputError, match=r"no nobs_z bin '3-6' \(did you mean '3-5'\?\)"):
        parse_strata(["nobs_z=3-6"])


def test_numbers_divide_by_edges_and_python_and_sql_agree_at_them(tmp_path):
    """A value on an edge belongs to the bin above; NaN, null and what lies outside have no stratum."""
    magnitude = pa.array([17.9, 18.0, 18.999, 19.0, 20.0, None, float("nan"), 18.1], pa.float32())
    table = pa.table({"mag_z": magnitude})
    (division,) = divisions({"mag_z": ("18", "19", "20")}, table.schema, "pool")
    expected = [None, "18 to 19", "18 to 19", "19 to 20", None, None, None, "18 to 19"]
    assert division.of(table) == expected
    inside = table.filter(pa.array([label is not None for label in expected[:5]] + [False, True, True]))
    write_table(inside, str(tmp_path / "inside.parquet"))  # its statistics say that all lies within the edges
    with Database(threads=1) as database:
        database.register("t", table, located=True)
        database.scan("u", str(tmp_path / "inside.parquet"), located=True)
        ours, stored = (f"SELECT {division.sql('mag_z')} AS bin FROM {name} ORDER BY {ROW}" for name in "tu")
        assert database.query(ours)["bin"].to_pylist() == expected
        assert database.query(stored)["bin"].to_pylist() == division.of(inside)


def test_a_magnitude_can_be_a_stratum_too():
    drawn = run(by={"type": (), "mag_r": ("17", "20", "21.5", "25")}, per_positive=2)
    assert drawn.plan.strata.column_names[:2] == ["type", "mag_r_bin"]
    for quota in drawn.plan.quotas:
        low, high = (float(edge) for edge in quota.stratum[1].split(" to "))
        rows = drawn.rows.filter(pc.equal(drawn.rows["type"], quota.stratum[0]))
        inside = [low <= mag < high for mag in rows["mag_r"].to_pylist()]
        assert sum(inside) == quota.taken_n1 + quota.taken_n2


@pytest.mark.parametrize("edges", [(), ("18",), ("19", "18"), ("a", "b"), ("18", "inf")])
def test_a_number_without_edges_is_no_stratum(edges):
    with pytest.raises(InputError, match="column 'mag_z' is numeric"):
        divisions({"mag_z": edges}, POOL.schema, "pool")


def with_column(table, name, values):
    return table.append_column(name, pa.array([values[i % len(values)] for i in range(table.num_rows)]))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("group", ["a", "b"]),
        ("region", ["O'Brien", "back\\slash", "N"]),
        ("my field", ["a", "b"]),
        ('quo"ted', ["a", "b"]),
        ("north", [True, False]),
        ("zone", ["x", "y"]),
        ("key", ["x", "'"]),
        ("stratum_1", ["é", "\U0001f52d"]),
    ],
)
def test_any_column_divides_whatever_its_name_and_values_are(tmp_path, name, values):
    pool, positives = with_column(POOL, name, values), with_column(POSITIVES, name, values)
    expected = {str(value).lower() if isinstance(value, bool) else value for value in values}
    write_table(pool, str(tmp_path / "pool.parquet"))
    for drawn in (
        run(pool=pool, positives=positives, by={name: (), "type": ()}, per_positive=1),
        run(path=tmp_path / "pool.parquet", positives=positives, by={name: (), "type": ()}, per_positive=1),
    ):
        assert {quota.stratum[0] for quota in drawn.plan.quotas} == expected
        assert set(drawn.rows[name].to_pylist()) == set(values)


def test_carried_columns_never_matter(tmp_path):
    """Not those that are called as something in the rule is, and not an earlier sampling weight."""
    of_the_rule = ("lens_ra", "zone", "key", "take", "below", "place", "nowhere", "value", "stratum_0", "group")
    pool = POOL
    for name in of_the_rule:
        pool = pool.append_column(name, pa.array([0.0] * pool.num_rows))
    pool = pool.append_column("sampling_weight", pa.array(np.zeros(pool.num_rows)))
    write_table(pool, str(tmp_path / "pool.parquet"))
    lenses = pa.table({"ra": [10.0], "dec": [0.0]})
    plain = run(lenses=lenses)
    for drawn in (run(pool=pool, lenses=lenses), run(path=tmp_path / "pool.parquet", lenses=lenses)):
        assert drawn.rows.select(plain.rows.column_names).equals(plain.rows)


def test_ids_that_are_integers_are_ids(tmp_path):
    numbers = pa.array(np.arange(POOL.num_rows) * 7)
    pool = POOL.set_column(0, "galaxy_id", numbers)
    expected = run(pool=POOL.set_column(0, "galaxy_id", numbers.cast(pa.string())))
    write_table(pool, str(tmp_path / "pool.parquet"))
    assert run(path=tmp_path / "pool.parquet").rows.equals(expected.rows)
    twice = pa.concat_tables([pool, pool.slice(3, 1)])
    with pytest.raises(InputError, match="1 values of 'galaxy_id' occur in more than one row: 21"):
        run(pool=twice)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("taken", [[1], [2]], "column 'taken' is list<item: int64>, which cannot divide"),
        ("target", ["a", "b"], "'target' is a column of the table of strata itself"),
    ],
)
def test_what_cannot_divide_is_refused(name, values, message):
    with pytest.raises(InputError, match=message):
        run(pool=with_column(POOL, name, values), positives=with_column(POSITIVES, name, values), by={name: ()})


def test_positions_that_are_text_are_refused():
    place = POOL.column_names.index("ra")
    with pytest.raises(InputError, match="pool: column 'ra' is string, not a number"):
        run(
            pool=POOL.set_column(place, "ra", POOL["ra"].cast(pa.string())),
            lenses=pa.table({"ra": [1.0], "dec": [0.0]}),
        )


KINDS = {
    "embedding": pa.list_(pa.float32(), 2),
    "aliases": pa.list_(pa.string()),
    "exposure": pa.duration("s"),
    "taken_at": pa.timestamp("ns", "UTC"),
    "local": pa.timestamp("us", "America/Los_Angeles"),
    "price": pa.decimal128(20, 3),
    "large": pa.decimal256(50, 2),
    "empty": pa.null(),
    "short": pa.binary(2),
    "half": pa.float16(),
    "unsigned": pa.uint64(),
    "night": pa.date32(),
    "inside": pa.struct([("a", pa.int8()), ("b", pa.string())]),
    "field": pa.dictionary(pa.int8(), pa.string()),
}
VALUES = {
    "embedding": [1.0, 2.0],
    "aliases": ["a", None],
    "exposure": 90,
    "taken_at": 1_700_000_000_123_456_789,
    "local": 1_700_000_000_123_456,
    "price": Decimal("1.250"),
    "large": Decimal("12345678901234567890123456789012345678.25"),
    "empty": None,
    "short": b"ab",
    "half": np.float16(1.5),
    "unsigned": (1 << 64) - 1,
    "night": date(2024, 5, 1),
    "inside": {"a": 1, "b": "x"},
    "field": "x",
}


@pytest.mark.parametrize("stored", [False, True])
def test_what_is_carried_keeps_its_type_and_its_values(tmp_path, stored):
    pool = POOL
    for name, kind in KINDS.items():
        pool = pool.append_column(
            name, pa.array([VALUES[name] if row % 2 else None for row in range(pool.num_rows)], kind)
        )
    for number in range(3 if stored else 0):
        (tmp_path / "pool").mkdir(exist_ok=True)
        pq.write_table(pool.slice(number * 1500, 1500), tmp_path / "pool" / f"{number}.parquet", row_group_size=400)
    drawn = run(path=tmp_path / "pool") if stored else run(pool=pool)
    assert ids(drawn) == ids(run())
    order = {name: row for row, name in enumerate(pool["galaxy_id"].to_pylist())}
    expected = pool.take(pa.array([order[name] for name in ids(drawn)]))
    assert drawn.rows.drop_columns(["sampling_weight"]).schema.equals(pool.schema)
    assert drawn.rows.drop_columns(["sampling_weight"]).equals(expected)
