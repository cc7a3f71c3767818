from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.frozen.selection_folder import read_selection
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection.loading import chosen, facts_of, injections_of, load_selection


def table(**more: object) -> pa.Table:
    return pa.table(
        {
            "theta_e": [1.0, 1.2, 2.0, 3.0],
            "logit": [0.5, 2.0, 3.0, -1.0],
            "host_id": ["a", "a", "b", "c"],
            "healpix_128": [1, 1, 1, 2],
            **more,
        }
    )


def test_detected_is_at_or_above_the_threshold():
    found = injections_of(table(), ("theta_e",), 2.0, LS_DR10, "t")
    assert found.detected.tolist() == [False, True, True, False]
    assert found.host.tolist() == ["a", "a", "b", "c"]
    assert found.pixel.tolist() == [1, 1, 1, 2]


def test_hosts_detected_without_an_arc_are_left_out():
    found = injections_of(table(logit_host=[0.0, 0.0, 2.0, -3.0]), ("theta_e",), 2.0, LS_DR10, "t")
    assert found.host.tolist() == ["a", "a", "c"]
    assert np.allclose(found.values["theta_e"], [1.0, 1.2, 3.0])


def test_the_magnitude_that_the_design_ends_in_is_kept():
    found = injections_of(table(lensed_mag_r=[20.0, 21, 22, 23]), ("theta_e",), 2.0, LS_DR10, "t")
    assert found.values["lensed_mag_r"].max() == 23


def test_the_only_threshold_need_not_be_named_and_several_must():
    assert chosen({"fpr=0.01": 1.0}, None, "s") == "fpr=0.01"
    several = {"fpr=0.01": 1.0, "fpr=0.001": 3.0}
    assert chosen(several, "fpr=0.001", "s") == "fpr=0.001"
    with pytest.raises(InputError, match=r"s has 2 thresholds: fpr=0.01, fpr=0.001"):
        chosen(several, None, "s")
    with pytest.raises(InputError, match=r"s has no threshold 'fpr=0.1'"):
        chosen(several, "fpr=0.1", "s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no selection function"),
        ("[1]", "is no selection function"),
        ('{"thresholds": 3, "axes": []}', "is no selection function"),
        ('{"thresholds": [{"name": "a"}], "axes": ["theta_e"]}', "is no selection function"),
        ('{"thresholds": [], "axes": ["theta_e"]}', "has no threshold or no axes"),
    ],
)
def test_facts_that_are_none_are_a_sentence(tmp_path, text, message):
    (tmp_path / "selection.json").write_text(text)
    with pytest.raises(InputError, match=f"selection.json: {message}"):
        load_selection(tmp_path, None)


def test_facts_are_thresholds_and_axes(tmp_path):
    (tmp_path / "selection.json").write_text(
        '{"thresholds": [{"name": "fpr=0.01", "logit": 2.5}], "axes": ["theta_e", "mag_z"]}'
    )
    points, axes = facts_of(read_selection(tmp_path))
    assert (points, axes) == ({"fpr=0.01": 2.5}, ("theta_e", "mag_z"))


def test_a_folder_that_is_none_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"selection.json: cannot be read"):
        load_selection(tmp_path, None)
