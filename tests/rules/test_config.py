"""Settings are strict: a typo, a doubled key or broken YAML is an error that says where."""

from __future__ import annotations

import pytest

from lensctl.rules.config import as_written, json_value, read_config
from lensctl.rules.errors import InputError

KNOWN = ("epochs", "learning_rate", "n1_n2_ratio")


def read(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    return read_config(tmp_path / "c.yaml", KNOWN)


def test_settings_come_as_they_are_with_dashes_as_underscores(tmp_path):
    assert read(tmp_path, "epochs: 3\nlearning-rate: 0.1\nn1_n2_ratio: [0.85, 0.15]\n") == {
        "epochs": 3,
        "learning_rate": 0.1,
        "n1_n2_ratio": [0.85, 0.15],
    }
    assert read(tmp_path, "") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", r"no setting 'epoch' \(did you mean 'epochs'\?\)"),
        ("zzz: 3", "no setting 'zzz'\n"),
        ("epochs: 3\nepochs: 4", r"'epochs' is given twice \(line 2\)"),
        ("epochs: [", "not valid YAML at line"),
        ("- 1", "a config must be a mapping"),
        ("epochs: &a [1, 1]\nlearning-rate: [*a, *a]", r"a reference \(\*name\) in line 2"),
        ("epochs: " + "[" * 2000 + "]" * 2000, "not valid YAML"),
        ("epochs: " + "9" * 5000, "not valid YAML"),
        ("epochs: !!int abc", "not valid YAML"),
        ('epochs: "\\ud800"', "not valid YAML"),
        ("epochs: !!timestamp foo", "not valid YAML"),
        ("[a, b]: 1", "not valid YAML"),
        ("{a: 1}: 2", "not valid YAML"),
        ("#" * 2**20 + "\nepochs: 1", "longer than any file of settings"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("042", 42), ("-7", -7), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"), ("1:30", "1:30"), ("1e3", 1000.0),
        (".5", 0.5), ("no", "no"), ("on", "on"), ("Yes", "Yes"), ("true", True), ("FALSE", False), ("~", None),
        ("", None), ("null", None), ("2024-05-01", "2024-05-01"), ("0b1", "0b1"), ("=", "="), ("'042'", "042"),
    ],
)  # fmt: skip
def test_values_are_what_they_look_like(tmp_path, text, value):
    """By YAML 1.2: by 1.1, 042 is 34, 1:30 is 90 and `no` is false."""
    found = read(tmp_path, f"epochs: {text}\n")["epochs"]
    assert (found, type(found)) == (value, type(value))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="config cannot be read"):
        read_config(tmp_path / "none.yaml", KNOWN)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000, "9" * 5000, "", "{"])
def test_a_json_text_that_is_none_is_a_value_error_however_deep(text):
    with pytest.raises(ValueError, match="."):
        json_value(text)


def test_a_json_text_is_its_value():
    assert json_value(b'{"a": [1, null, "x"]}') == {"a": [1, None, "x"]}


@pytest.mark.parametrize("text", ["{}", "[]", "3", "null", '{"a": null}', '{"a": [1]}', '{"a": "x"}', '{"a": 0}'])
def test_json_of_another_shape_is_an_error_with_the_files_name(text):
    with (
        pytest.raises(InputError, match=r"^run\.json: not as lensctl wrote it \(\w+Error: ") as caught,
        as_written("run.json", "train again"),
    ):
        1 / int(json_value(text)["a"])
    assert caught.value.fix == "train again"


def test_our_own_errors_pass_through():
    with pytest.raises(InputError, match="^no such file$"), as_written("run.json", "train again"):
        raise InputError("no such file")
