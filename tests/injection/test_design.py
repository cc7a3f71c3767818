"""The default design is the stated one; a design that contradicts itself is refused by what is wrong."""

from __future__ import annotations

import dataclasses

import pytest

from lensctl.injection.design import DEFAULT, Design, read_design
from lensctl.rules.errors import InputError


def test_a_file_changes_what_it_names_and_the_digest_with_it(tmp_path):
    (tmp_path / "d.yaml").write_text("theta_e_arcsec: [0.7, 2.5]\nclumpy_share: 0\n")
    found = read_design(tmp_path / "d.yaml")
    assert found.theta_e_arcsec == (0.7, 2.5)
    assert dataclasses.replace(DEFAULT, theta_e_arcsec=(0.7, 2.5), clumpy_share=0.0) == found
    assert found.digest() != DEFAULT.digest()
    assert read_design(None) is DEFAULT
    assert Design().digest() == DEFAULT.digest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("theta_e_arcsec: [2.5, 0.7]", "theta_e_arcsec runs from 2.5 to 0.7"),
        ("theta_e_arcsec: [0.5, 4.5]", "theta_e_arcsec reaches 4.5"),
        ("theta_e_arcsec: [0, 2]", "theta_e_arcsec begins at 0"),
        ("einstein: 3", "no setting 'einstein'"),
        ("source_n: one", "source_n"),
        ("source_n: [0.5, 9]", "source_n leaves 0.3 to 8"),
        ("lensed_mag: [24, 18]", "lensed_mag runs from 24 to 18"),
        ("clumps: [0, 3]", "clumps begins below 1"),
        ("clumpy_share: 1.5", "clumpy_share is 1.5"),
        ("disc_share: [0.5, 1.2]", "disc_share leaves 0 to 1"),
        ("colour_correlation: 1", "colour_correlation is no correlation"),
        ("colour_1: [0.2, -0.1]", "a standard deviation is below 0"),
        ("lens_q_range: [0.4, 1.0]", "lens_q_range reaches 1"),
        ("source_q_least: 0", "source_q_least is 0"),
        ("lensed_mag: [.nan, 24]", "lensed_mag"),
    ],
)
def test_a_design_that_contradicts_itself_is_refused(tmp_path, text, message):
    (tmp_path / "d.yaml").write_text(text + "\n")
    with pytest.raises(InputError, match=message):
        read_design(tmp_path / "d.yaml")
