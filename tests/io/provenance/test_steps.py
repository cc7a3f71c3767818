"""Provenance travels, never doubles, never lies quietly; digests see content and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Input, Step, chain_of, extend, from_json, from_list, stamp, step_input, to_json
from lensctl.rules.errors import InputError
from tests.toys.folders import folder_digest

FIRST = Step("pool", {"min_nobs_z": 3}, (Input("catalog", "sweep.fits", "sha256:00"),))
SECOND = Step("sample", {"seed": 42}, (step_input("pool", "/some/where/pool.parquet", "sha256:01", (FIRST,)),))


def test_a_chain_survives_json():
    chain = extend(SECOND, (FIRST,))
    assert from_json(to_json(chain), "x") == chain
    assert [step.command for step in chain] == ["pool", "sample"]


def test_a_shared_parent_stands_once():
    third = Step("manifest", {}, ())
    assert extend(third, (FIRST, SECOND), (FIRST,)) == (FIRST, SECOND, third)


def test_no_folder_is_recorded():
    assert SECOND.inputs[0] == Input("pool", "pool.parquet", "sha256:01", FIRST.id)
    assert SECOND.input("pool") == SECOND.inputs[0]
    assert SECOND.input("lenses") is None


def test_an_altered_step_is_refused():
    values = json.loads(to_json((FIRST,)))
    values[0]["parameters"]["min_nobs_z"] = 1
    with pytest.raises(InputError, match="provenance of step 'pool' was altered"):
        from_list(values, "x")


@pytest.mark.parametrize("text", ["nonsense", "[1]", '[{"id": "x"}]', "3"])
def test_what_is_no_chain_is_an_error(text):
    with pytest.raises(InputError, match="provenance"):
        from_json(text, "x")


def test_it_travels_in_a_table(tmp_path):
    table = stamp(pa.table({"x": [1]}), (FIRST,))
    pq.write_table(table, tmp_path / "t.parquet")
    assert chain_of(pq.read_table(tmp_path / "t.parquet")) == (FIRST,)
    assert chain_of(pa.table({"x": [1]})) == ()


values = st.one_of(st.none(), st.integers(-(2**40), 2**40))
texts = st.one_of(st.none(), st.text(max_size=5))


@given(st.lists(st.tuples(values, texts, st.booleans(), st.floats(allow_nan=True)), min_size=1), st.data())
def test_a_digest_sees_rows_not_chunks(rows, data):
    table = pa.table(
        {
            "i": pa.array([r[0] for r in rows], pa.int64()),
            "s": pa.array([r[1] for r in rows], pa.string()),
            "b": pa.array([r[2] for r in rows]),
            "f": pa.array([r[3] for r in rows], pa.float64()),
        }
    )
    cut = data.draw(st.integers(0, len(rows)))
    assert digests.of_table(pa.concat_tables([table.slice(0, cut), table.slice(cut)])) == digests.of_table(table)


@pytest.mark.parametrize(
    "other",
    [
        {"x": [1, 2, 4], "s": ["a", "b", None]},
        {"x": [1, 2, 3], "s": ["a", "b", ""]},
        {"x": [1, 2, 3], "s": ["ab", "", None]},
        {"y": [1, 2, 3], "s": ["a", "b", None]},
        {"x": [1.0, 2.0, 3.0], "s": ["a", "b", None]},
        {"x": [1, 2], "s": ["a", "b"]},
    ],
)
def test_a_digest_sees_every_change(other):
    assert digests.of_table(pa.table({"x": [1, 2, 3], "s": ["a", "b", None]})) != digests.of_table(pa.table(other))


def test_luck_and_metadata_do_not_count():
    plain = pa.table({"x": [1]})
    lucky = plain.append_column("seconds", pa.array([0.3])).append_column("downloaded_at", pa.array(["now"]))
    assert digests.of_table(stamp(lucky, (FIRST,))) == digests.of_table(plain)


def test_folders_count_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(np.arange(3).tobytes())
    before = folder_digest(tmp_path)
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert folder_digest(tmp_path) != before
