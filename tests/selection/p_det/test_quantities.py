"""What an axis measures stands once: axes, refused units and logarithms agree on it."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from lensctl.selection.p_det.axes import observable_axes, physical_axes
from lensctl.selection.p_det.axis_values import scaled
from lensctl.selection.p_det.quantities import QUANTITIES, is_log, quantity_of

AXES = {axis.name: axis for survey in (LS_DR10, LS_DR10_GRIZ) for axis in
        (*physical_axes(survey), *observable_axes(survey))}  # fmt: skip


@pytest.mark.parametrize("name", AXES)
def test_every_axis_is_a_quantity_with_its_unit(name):
    axis, quantity = AXES[name], quantity_of(name)
    assert (axis.log, axis.unit) == (quantity.log, quantity.unit) == (is_log(name), quantity.unit)
    assert not axis.log or quantity.low > 0 or name.startswith("obs_")


@pytest.mark.parametrize("name", AXES)
def test_populations_are_compared_on_the_scale_that_p_det_is_fitted_on(name):
    values = np.array([1.5, 3.0])
    (column,) = scaled({name: values}, (name,)).T
    np.testing.assert_allclose(column, np.log(values) if AXES[name].log else values)


def test_every_quantity_says_what_to_give_and_is_found_by_its_own_name():
    for start, quantity in QUANTITIES.items():
        assert quantity_of(start) is quantity, start
        assert quantity.name or start.startswith("obs_")
        assert quantity.low < quantity.high
    assert quantity_of("galaxy_id") is None
    assert not is_log("galaxy_id")
