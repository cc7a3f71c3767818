"""Lenses in hours or radians are an error, if more rows than chance would have lie where they would be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from lensctl.astro.lens_units import Lenses, other_readings, refuse_other_units
from lensctl.rules.errors import InputError


@pytest.mark.parametrize(
    ("ra", "dec", "units"),
    [([1.0, 23.9], [-80.0, 10.0], ["hours"]), ([0.1, 6.2], [-1.5, 1.5], ["hours", "radians"]), ([24.1], [0.0], []),
     ([6.2], [1.6], ["hours"]), ([], [], [])],
)  # fmt: skip
def test_units_in_which_all_lenses_lie_on_the_sky_are_possible(ra, dec, units):
    assert list(other_readings(np.array(ra), np.array(dec))) == units


def test_another_reading_is_in_degrees():
    readings = other_readings(np.array([1.0]), np.array([0.5]))
    assert np.allclose(readings["hours"], [[15.0], [0.5]])
    assert np.allclose(readings["radians"], [[57.29577951], [28.64788976]])


@pytest.mark.parametrize(
    ("rows", "near", "lenses", "refused"),
    [
        (3, 0, 10, True),
        (2, 0, 10, False),
        (5, 5, 10, False),
        (6, 5, 10, True),
        (10, 0, 1000, False),
        (11, 0, 1000, True),
    ],
)
def test_more_rows_than_in_degrees_and_than_chance_has_are_refused(rows, near, lenses, refused):
    found = {"degrees": Counter({"0": 999, "1": near}), "hours": Counter({"1": rows})}
    given = Lenses(("a.csv", "b.csv"), ((np.ones(999), np.ones(999)), (np.ones(lenses), np.ones(lenses))))
    if refused:
        words = rf"^b.csv: its lenses are in hours: so read, {rows} rows .* in degrees {near} lie near one"
        with pytest.raises(InputError, match=words):
            refuse_other_units(found, given)
    else:
        refuse_other_units(found, given)


def test_readings_are_by_unit_and_catalogue_and_every_lens_is_avoided():
    far, near = (np.array([200.0, 24.5]), np.array([0.0, 3.0])), (np.array([1.0]), np.array([0.5]))
    lenses = Lenses(("a.csv", "b.csv"), (far, near))
    assert (len(lenses), [axis.tolist() for axis in lenses.every]) == (3, [[200.0, 24.5, 1.0], [0.0, 3.0, 0.5]])
    assert list(lenses.readings()) == [("hours", "1"), ("radians", "1")]
