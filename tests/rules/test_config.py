"""Settings are strict: a typo, a doubled key or broken YAML is an error that says where."""

from __future__ import annotations

import pytest

from lensctl.rules.config import read_config
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
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="config cannot be read"):
        read_config(tmp_path / "none.yaml", KNOWN)
