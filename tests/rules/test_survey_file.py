"""A survey from a file, a name, or the text in provenance."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.rules.errors import InputError
from lensctl.rules.expressions import FUNCTIONS
from lensctl.rules.survey import BUILT_IN, LS_DR10, Survey
from lensctl.rules.survey_file import named_survey, survey_of_text, text_of_survey
from lensctl.rules.survey_parts import BandImaging, CatalogColumn
from tests.toys.surveys import INFRARED, ONE_BAND

TEXT = """
name: shallow
bands: [VIS, Y]
detection_band: VIS
depth_band: Y
picture_bands: [Y, VIS, VIS]
colours: [[VIS, Y], [VIS, Y]]
pixel_scale_arcsec: 0.1
cutout_size_px: 150
criteria:
  bright: {mag_VIS: mag_VIS < 22, type: "type in ('E', 'S')"}
strata: {type: [E, S]}
confusers: {disc: type == 'S'}
split_fractions: {train: 0.8, val: 0.1, test: 0.1}
columns:
  galaxy_id: ID
  ra: RAJ2000
  flux_VIS: {from: mag_vis, unit: mag}
  nobs_Y: {constant: 4}
"""


def written(folder: Path, text: str = TEXT) -> str:
    (folder / "survey.yaml").write_text(text)
    return str(folder / "survey.yaml")


def test_a_file_says_what_a_survey_is(tmp_path):
    survey = named_survey(written(tmp_path))
    assert (survey.name, survey.bands, survey.cutout_arcsec) == ("shallow", ("VIS", "Y"), pytest.approx(15.0))
    assert survey.split_edges == {"train": 0.8, "val": 0.9, "test": 1.0}
    assert survey.columns["ra"] == CatalogColumn("RAJ2000")
    assert survey.columns["flux_VIS"] == CatalogColumn("mag_vis", unit="mag")
    assert survey.columns["nobs_Y"] == CatalogColumn(constant=4)


def test_a_file_may_say_only_what_differs_from_a_built_in_survey(tmp_path):
    text = "name: ours\nbase: ls-dr10\nsplit_fractions: {train: 0.8, val: 0.1, test: 0.1}\n"
    survey = named_survey(written(tmp_path, text))
    assert survey == dataclasses.replace(LS_DR10, name="ours", split_fractions={"train": 0.8, "val": 0.1, "test": 0.1})
    with pytest.raises(InputError, match=r"survey.yaml: no survey 'ls-dr9' to start from"):
        named_survey(written(tmp_path, "name: ours\nbase: ls-dr9\n"))
    with pytest.raises(InputError, match="'ls-dr10' is built in, and differs from this"):
        named_survey(written(tmp_path, "base: ls-dr10\ncutout_size_px: 64\n"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_survey_needs_no_file_and_is_recorded_by_its_name(name):
    assert text_of_survey(named_survey(name)) == name
    assert survey_of_text(name, "here") is BUILT_IN[name]


@pytest.mark.parametrize("survey", [INFRARED, ONE_BAND], ids=lambda s: s.name)
def test_provenance_tells_all_of_any_other_in_its_order(survey):
    assert survey_of_text(text_of_survey(survey), "here") == survey
    assert named_survey(text_of_survey(survey)) == survey, "so that a command line can carry it to a cluster"


@given(st.permutations(list(LS_DR10.confusers)), st.integers(1, 2**31), st.floats(1e-3, 10))
def test_what_is_told_is_understood_and_the_order_of_classes_kept(classes, seed, scale):
    survey = dataclasses.replace(
        LS_DR10,
        name="other",
        confusers={name: LS_DR10.confusers[name] for name in classes},
        split_seed=seed,
        pixel_scale_arcsec=scale,
    )
    told = survey_of_text(text_of_survey(survey), "here")
    assert told == survey
    assert list(told.confusers) == classes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: shallow", "nam: shallow", "no setting 'nam' (did you mean 'name'?)"),
        ("name: shallow\n", "", "name: field required"),
        ("name: shallow", "name: ls-dr10", "'ls-dr10' is built in, and differs from this"),
        ("bands: [VIS, Y]", "bands: VIS", "bands: input should be a valid tuple"),
        ("pixel_scale_arcsec: 0.1", "pixel_scale_arcsec: wide", "pixel_scale_arcsec: input should be a valid number"),
        ("pixel_scale_arcsec: 0.1", "pixel_scale_arcsec: .nan", "pixel_scale_arcsec: input should be a finite number"),
        ("cutout_size_px: 150", "cutout_size_px: 150.5", "cutout_size_px: input should be a valid integer"),
        ("mag_VIS < 22", "mag_VIS <", "'mag_VIS <' is not an expression"),
        ("depth_band: Y", "depth_band: K", "survey shallow: depth_band names 'K'"),
        ("{constant: 4}", "{konstant: 4}", "columns.nobs_Y.konstant: unexpected keyword argument"),
        ("{constant: 4}", "{factor: 4}", "needs either 'from' or 'constant'"),
        ("columns:\n", "columns: 3\nmask_bits:\n", "mask_bits.galaxy_id: input should be a valid integer"),
        ("name: shallow", "name: [", "not valid YAML at line"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_a_sentence_with_its_place(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(InputError) as error:
        named_survey(written(tmp_path, TEXT.replace(old, new, 1)))
    assert "survey.yaml" in str(error.value)
    assert message in str(error.value)
    assert error.value.fix


def test_an_unknown_name_suggests_the_near_one():
    with pytest.raises(InputError, match=r"no survey 'ls-dr10-gri' \(did you mean 'ls-dr10-griz'\?\)"):
        named_survey("ls-dr10-gri")
    with pytest.raises(InputError, match=r"missing.yaml: config cannot be read"):
        named_survey("missing.yaml")


@pytest.mark.parametrize("text", ["ls-dr99", "{", "[]", "3", None, 7, '{"name": 3}'])
def test_text_that_describes_no_survey_is_refused_in_a_sentence(text):
    with pytest.raises(InputError, match="^here: "):
        survey_of_text(text, "here")


def test_the_docs_list_every_key_and_function():
    text = (Path(__file__).parents[2] / "docs" / "surveys.md").read_text()
    keys = [*(field.name for field in dataclasses.fields(Survey)), *(f.name for f in dataclasses.fields(BandImaging))]
    assert [key for key in (*keys, "base", *FUNCTIONS) if key not in text] == []


def test_the_example_of_the_docs_is_a_survey(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "surveys.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert named_survey(written(tmp_path, example)).columns["shape_r"] == CatalogColumn("size", unit="pixel")
