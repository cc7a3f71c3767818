"""Provenance travels, never doubles, never lies quietly; digests see content and nothing else."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import (
    Input,
    Step,
    chain_of,
    common_survey,
    extend,
    from_json,
    from_list,
    stamp,
    step_input,
    survey_of,
    to_json,
)
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from tests.toys.folders import folder_digest
from tests.toys.surveys import INFRARED

FIRST = Step("pool", {"min_nobs_z": 3}, (Input("catalog", "sweep.fits", "sha256:00"),))
SECOND = Step("sample", {"seed": 42}, (step_input("pool", "/some/where/pool.parquet", "sha256:01", (FIRST,)),))


def test_a_chain_survives_json():
    chain = extend(SECOND, (FIRST,))
    assert from_json(to_json(chain), "x") == chain
    assert [step.command for step in chain] == ["pool", "sample"]


def test_a_shared_parent_stands_once():
    third = Step("manifest", {}, ())
    assert extend(third, (FIRST, SECOND), (FIRST,)) == (FIRST, SECOND, third)


IN_INFRARED = Step("pool", {"n": 1}, survey=INFRARED)


def test_the_survey_is_described_once_and_named_after_and_the_whole_comes_back():
    chain = extend(Step("sample", {}, survey=INFRARED), (IN_INFRARED,))
    values = json.loads(to_json(chain))
    assert [len(value["survey"]) > 100 for value in values] == [True, False]
    assert values[1]["survey"] == "infrared"
    assert from_json(to_json(chain), "x") == chain
    assert survey_of(from_json(to_json(chain), "x")) == INFRARED
    assert json.loads(to_json((Step("pool", {}, survey=LS_DR10_GRIZ),)))[0]["survey"] == "ls-dr10-griz"


def test_what_names_no_survey_is_of_ls_dr10_as_version_0_1_0_wrote_it():
    assert "survey" not in json.loads(to_json((FIRST,)))[0]
    assert survey_of((FIRST,)) == survey_of(()) == LS_DR10


def test_two_surveys_in_one_command_are_refused_in_a_sentence():
    with pytest.raises(InputError, match=r"an input made by 'pool' is of survey infrared, not of ls-dr10\n"):
        extend(SECOND, (FIRST,), (IN_INFRARED,))
    with pytest.raises(InputError, match=r"an input made by 'pool' is of survey ls-dr10, not of infrared\n"):
        common_survey(INFRARED, (FIRST,))
    with pytest.raises(InputError, match=r"an input made by 'pool' is of survey infrared, not of ls-dr10\n"):
        common_survey(None, (FIRST,), (IN_INFRARED,))
    other = dataclasses.replace(INFRARED, pixel_scale_arcsec=0.3)
    with pytest.raises(InputError, match=r"of survey infrared, not of infrared \(the same name, but other values\)"):
        common_survey(other, (IN_INFRARED,))


def test_an_input_that_names_none_is_of_the_survey_that_is_given_or_of_the_others():
    assert common_survey(None) == LS_DR10
    assert common_survey("ls-dr10-griz", ()) == LS_DR10_GRIZ
    assert common_survey(None, (), (IN_INFRARED,)) == INFRARED


def test_a_survey_cannot_be_changed_in_a_file():
    values = json.loads(to_json((IN_INFRARED,)))
    values[0]["survey"] = values[0]["survey"].replace('arcsec":0.1', 'arcsec":0.2')
    with pytest.raises(InputError, match="provenance of step 'pool' was altered"):
        from_list(values, "x")
    values[0]["survey"] = "unheard-of"
    with pytest.raises(InputError, match="x: no survey 'unheard-of' is known"):
        from_list(values, "x")


def test_a_table_names_its_survey():
    assert stamp(pa.table({"x": [1]}), (IN_INFRARED,)).schema.metadata[b"lensctl.survey"] == b"infrared"
    assert stamp(pa.table({"x": [1]}), (FIRST,)).schema.metadata[b"lensctl.survey"] == b"ls-dr10"


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


def test_the_name_of_the_items_of_lists_which_parquet_changes_does_not_count():
    values = [[1.0, 2.0], None]
    item, element = (pa.list_(pa.field(name, pa.float64())) for name in ("item", "element"))
    assert digests.of_table(pa.table({"x": pa.array(values, item)})) == digests.of_table(
        pa.table({"x": pa.array(values, element)})
    )


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
