"""Values in any dress are taken as the declared type if they are that; else the value and its row are named."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lensctl.io.tables.declared_types import conform, fitted
from lensctl.rules.errors import InputError
from tests.toys.surveys import INFRARED


def test_the_columns_of_a_survey_have_its_types():
    table = pa.table({"flux_VIS": pa.array([1.0]), "flux_g": pa.array([1.0])})
    conformed = conform(table, survey=INFRARED)
    assert [field.type for field in conformed.schema] == [pa.float32(), pa.float64()], "flux_g is nobody's there"


def test_values_that_do_not_fit_their_declared_type_are_an_error():
    with pytest.raises(InputError, match="column 'nobs_z' is int64, and 100000 in row 0 does not fit int16"):
        conform(pa.table({"nobs_z": [100_000]}))


def values(column, wanted, **options):
    return fitted(pa.chunked_array([pa.array(*column)]), wanted, "x", **options).to_pylist()


def test_values_that_are_the_declared_type_in_another_dress_are_taken():
    whole = ([3.0, float("nan"), None],)
    assert values(whole, pa.int32()) == [3, None, None]
    assert values(whole, pa.string()) == ["3", None, None]
    assert values((["3", " 4 ", "", "5.0"],), pa.int16()) == [3, 4, None, 5]
    assert values(([b" 1.5", b"1e3"],), pa.float64()) == [1.5, 1000.0]
    assert values(([b"SER ", b"EX\0", b"   "], pa.binary()), pa.string()) == ["SER", "EX", None]
    assert values(([b"ab "], pa.binary(3)), pa.string()) == ["ab"]
    assert values((["T", "false", "1", " f", None],), pa.bool_()) == [True, False, True, False, None]
    assert fitted(pa.array(["a ", "b"]).dictionary_encode(), pa.string(), "x").to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("column", "wanted", "said"),
    [
        (([1.0, 2.5],), pa.int32(), "and 2.5 in row 41 does"),
        (([1, 1 << 40],), pa.int32(), "and 1099511627776 in row 41 does"),
        ((["1", "0:43:56.108", "x"],), pa.float64(), "and 0:43:56.108 in row 41 does not fit double"),
        (([-1, 3], pa.int64()), pa.uint8(), "and -1 in row 40 does"),
        (([b"a", b"\xff"],), pa.string(), r"and b'\\xff' in row 41 does"),
        ((["T", "maybe"],), pa.bool_(), "and maybe in row 41 does"),
        (([["a"], None],), pa.string(), "list<item: string>, and does not fit string"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_row(column, wanted, said):
    with pytest.raises(InputError, match=f"t: column 'x' is .*{said}"):
        values(column, wanted, where="t", rows=[40, 41, 42])
