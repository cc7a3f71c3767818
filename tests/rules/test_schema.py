"""The vocabulary: every column has a type and a meaning, and what is missing or null is named."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lensctl.rules import schema
from lensctl.rules.errors import InputError
from tests.toys.surveys import INFRARED


def test_every_column_is_declared_once_with_type_and_meaning():
    groups = (
        schema.IDENTITY,
        schema.MEASURED,
        schema.DERIVED,
        schema.POSITIVE,
        schema.CUTOUT,
        schema.MANIFEST,
        schema.SCORED,
    )
    names = [column.name for group in groups for column in group]
    assert len(names) == len(set(names))
    for column in schema.columns().values():
        assert schema.arrow_type(column.name) is not None
        assert column.meaning


def test_the_columns_of_another_survey_are_named_after_its_bands():
    names = list(schema.columns(INFRARED))
    for name in ("flux_VIS", "psfdepth_H", "mag_J", "VIS_minus_Y", "Y_minus_H", "H_minus_w1", "nobs_H_bin", "p99_J"):
        assert name in names
    assert not [name for name in names if name.endswith(("_g", "_z")) or name == "nobs_z_bin"]
    assert schema.columns(INFRARED)["nobs_H_bin"].meaning == "Bin of nobs_H: 1-2, 3-5, 6-10, 11+"


def test_a_missing_column_is_named_with_the_nearest_and_what_it_is():
    with pytest.raises(
        InputError, match=r"pool: column 'nobs_z' is missing \(did you mean 'nobsz'\?\) \(found: nobsz, x\)"
    ) as error:
        schema.require(pa.table({"nobsz": [1], "x": [1]}), "nobs_z", where="pool")
    assert error.value.fix == "add nobs_z as int16: Exposures that cover the object in z"


def test_nulls_and_nans_are_counted_and_placed():
    table = pa.table({"split": ["train", None, None], "ra": [1.0, 2.0, float("nan")]})
    with pytest.raises(InputError, match="column 'split' is null or NaN in 2 rows, first in row 1"):
        schema.refuse_nulls(table, "split")
    with pytest.raises(InputError, match="column 'ra' is null or NaN in 1 rows, first in row 2"):
        schema.refuse_nulls(table, "ra")


@pytest.mark.parametrize(
    ("ra", "dec", "message"), [(361.0, 0.0, "ra = 361.0 in row 1"), (-1.0, 0.0, "ra = -1.0"), (1.0, 91.0, "dec = 91.0")]
)
def test_impossible_positions_are_placed(ra, dec, message):
    with pytest.raises(InputError, match=message):
        schema.refuse_bad_positions(pa.table({"ra": [0.0, ra], "dec": [0.0, dec]}))


def test_positions_that_are_text_are_refused():
    with pytest.raises(InputError, match="t: column 'dec' is string, not a number"):
        schema.refuse_bad_positions(pa.table({"ra": [1.0], "dec": ["north"]}), "t")


def test_repeated_ids_are_named():
    with pytest.raises(InputError, match="1 values of 'galaxy_id' occur in more than one row: b"):
        schema.refuse_duplicates(pa.table({"galaxy_id": ["a", "b", "b"]}))


def test_names_that_are_one_to_lensctl_are_an_error():
    assert schema.folded(["RA", " dec ", "Type"]) == {"ra": "RA", "dec": " dec ", "type": "Type"}
    with pytest.raises(InputError, match="t: columns 'RA' and 'ra' are one"):
        schema.folded(["RA", "dec", "ra"], "t")
    with pytest.raises(InputError, match="column 'ra' occurs more than once"):
        schema.folded(["ra", "ra"])
