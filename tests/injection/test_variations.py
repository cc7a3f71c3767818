"""A variation changes what it names and nothing else; unknown names are refused with the nearest."""

from __future__ import annotations

import pytest

from lensctl.astro.sersic import Sersic
from lensctl.injection.drawing import Source
from lensctl.injection.variations import CONTROLS, STANDARD, VARIATIONS, refuse_unknown
from lensctl.rules.errors import InputError

CLUMP = Sersic(0.2, -0.1, 1.0, 0.05, 0.5)
SOURCE = Source(
    "clumpy", ((Sersic(0, 0, 1.0, 0.3, 1.0),), (CLUMP,)), (0.7, 0.3), (0.0, 0.2), (0.3, 0.5), 21.0
)  # fmt: skip


def test_the_standard_changes_nothing():
    assert STANDARD.applied(SOURCE) == SOURCE


def test_sizes_change_with_the_places_of_clumps_and_keep_flux_and_colours():
    wide = VARIATIONS["re+20"].applied(SOURCE)
    assert wide.main.r_half == pytest.approx(0.36)
    clump = wide.groups[1][0]
    assert (clump.x, clump.y, clump.r_half, clump.flux) == pytest.approx((0.24, -0.12, 0.06, 1.0))
    assert (wide.colours, wide.lensed_mag, wide.weights) == (SOURCE.colours, SOURCE.lensed_mag, SOURCE.weights)


def test_colours_shift_by_what_the_name_says():
    assert VARIATIONS["colour-0.1"].applied(SOURCE).colours == pytest.approx((0.2, 0.4))
    assert VARIATIONS["colour+0.1"].applied(SOURCE).groups == SOURCE.groups


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"no control 'radia' \(did you mean 'radial'\?\)"):
        refuse_unknown("radia", None)
    with pytest.raises(InputError, match="no variation 'gain'"):
        refuse_unknown(None, "gain")
    for name in CONTROLS:
        refuse_unknown(name, None)
    for name in VARIATIONS:
        refuse_unknown(None, name)
