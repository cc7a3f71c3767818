"""The page on injection has the default design of the code."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import yaml

from lensctl.injection.design import DEFAULT, design_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "science" / "injection.md").read_text()


def test_the_default_design_of_the_page_is_that_of_the_code():
    values = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])
    assert values == DEFAULT.as_dict()
    assert design_of(values, "page").digest() == DEFAULT.digest()


def test_the_versions_of_the_page_are_those_installed():
    for package, name in (("lenstronomy", "lenstronomy"), ("GalSim", "galsim")):
        assert f"{package} {version(name)}" in PAGE
