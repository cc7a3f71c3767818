"""A step's work is read back from its arguments, and a step that is not ours is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lensctl.emr import work
from lensctl.rules.errors import InputError
from tests.toys.emr import SAMPLE

WORK = work.Work("sha256:1", "s3://survey/r.json", 1.5, ("s3://a", "s3://b"), SAMPLE, "s3://survey/c.yaml")


@pytest.mark.parametrize("each", [WORK, replace(WORK, config=None, outputs=("s3://a",))])
def test_what_a_step_is_told_is_read_back_from_its_arguments(each):
    arguments = ["env", "A=1", "spark-submit", "s3://x/step.py", *each.arguments()]
    assert work.from_arguments(arguments) == each


@pytest.mark.parametrize("arguments", [[], ["spark-submit", "x.py"], ["emr", "step"], ["emr", "step", "--wheel", "a"]])
def test_a_step_that_is_not_ours_is_said_to_be_none(arguments):
    with pytest.raises(InputError, match="not made by `lensctl emr submit`"):
        work.from_arguments(arguments)


@pytest.mark.parametrize("address", ["https://user:word@host/dr10", "https://host/dr10?token=word"])
def test_an_address_with_a_secret_is_no_argument_of_a_step(address):
    words = ("cutout", "s3://a/t.parquet", "s3://a/t.zarr", f"--root={address}")
    with pytest.raises(InputError, match="password, token or signature") as caught:
        work.CommandLine(words, None, (), ())
    assert "word@" not in f"{caught.value} {caught.value.fix}"
    assert work.CommandLine((*words[:3], "--root=https://host/dr10"), None, (), ())
