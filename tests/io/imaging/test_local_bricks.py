"""Coadds in a folder: a root without any is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from lensctl.io.imaging.local_bricks import LocalBricks
from lensctl.rules.errors import InputError
from tests.toys.coadds import make_brick
from tests.toys.names import NAMES

BRICK = "1500p020"


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: (p / "tractor").mkdir(parents=True)])
def test_a_root_without_coadds_is_refused(tmp_path: Path, make) -> None:
    make(tmp_path / "root")
    with pytest.raises(InputError, match="root: (no such folder|holds no coadd)"):
        LocalBricks(tmp_path / "root")


@pytest.mark.parametrize("compress", [False, True])
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(folder=NAMES)
def test_a_folder_is_that_folder_whatever_it_is_called(tmp_path_factory, compress, folder):
    tmp_path = tmp_path_factory.mktemp("names")
    pixels = make_brick(tmp_path / "plain", BRICK, base="", compress=compress, shape=(200, 200))
    (tmp_path / "plain").rename(tmp_path / folder)
    bricks = LocalBricks(tmp_path / folder)
    assert asyncio.run(bricks.folder(BRICK)) == "."
    assert asyncio.run(bricks.folder("*")) is None
    file = asyncio.run(bricks.plane(".", BRICK, "image-r"))
    target = np.zeros((50, 60), np.float32)
    file.fill(slice(100, 150), slice(100, 160), target)
    file.close()
    assert (target == pixels["r"][100:150, 100:160]).all()
