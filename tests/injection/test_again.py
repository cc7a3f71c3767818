"""The light of a row is what inject added, by the columns alone."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.injection.again import light_again
from lensctl.injection.injector import Injector, Settings
from lensctl.io.cutouts.store import open_store
from tests.toys.injections import make_injections


@pytest.mark.parametrize("options", [{}, {"vary": "psfsize+5"}, {"control": "radial"}, {"control": "unlensed"}])
def test_the_light_of_a_row_is_that_of_the_arcs(tmp_path, options):
    store = open_store(make_injections(tmp_path, count=4, source_model="sersic", **options))
    injector = Injector(Settings(**options), store.survey, store.size, np.ones(3))
    arcs = store.read_plane("arcs", 0, store.n)
    for row, arc in zip(store.index.to_pylist(), arcs, strict=True):
        again = light_again(row, injector)
        assert np.abs(again - arc).max() < 1e-3 * arc.max()
