"""The wheel: built alike from the same code, and known from what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lensctl.emr import wheel
from lensctl.io.provenance import digests
from lensctl.rules.errors import InputError, LensctlError


def test_the_same_code_gives_the_same_wheel_whose_launcher_is_lensctl_itself(built, tmp_path):
    copied = tmp_path / "checkout"
    copied.mkdir()
    for name in ("lensctl", "pyproject.toml", "README.md", "LICENSE", "constraints.txt", "emr_bootstrap"):
        (copied / name).symlink_to(wheel.checkout().folder / name)
    again = tmp_path / "again"
    again.mkdir()
    assert digests.of_file(wheel.checkout(copied).wheel(again)) == digests.of_file(built)
    assert b"lensctl.cli.main" in wheel.launcher(built)


def test_a_lensctl_that_was_not_installed_from_a_wheel_does_no_step():
    with pytest.raises(LensctlError, match="not installed from a wheel"):
        wheel.installed()


def test_what_is_no_wheel_and_what_is_no_checkout_is_named(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"no")
    with pytest.raises(InputError, match="x.whl: not a wheel of lensctl"):
        wheel.launcher(tmp_path / "x.whl")
    with pytest.raises(InputError, match=f"{tmp_path.name} is not a checkout of lensctl: bootstrap.sh is missing"):
        wheel.checkout(Path(tmp_path))
