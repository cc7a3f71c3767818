"""Hosts of a table as targets: the shape is the inverse of the catalogue's, and the next host is the next row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.injection.targets import targets_of
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys.hosts import TRANSMISSION, rows_of

ROWS = rows_of(9)
OFFSETS = np.tile([0.2, -0.3], (9, 1))


def test_a_target_has_the_shape_dust_centre_and_follower_of_its_row():
    aims = targets_of(ROWS, OFFSETS, LS_DR10)
    e1, e2 = (ROWS[name].to_numpy().astype(float) for name in ("shape_e1", "shape_e2"))
    e = np.hypot(e1, e2)
    for i, aim in enumerate(aims):
        assert aim.host.id == ROWS["galaxy_id"][i].as_py()
        assert aim.following == aims[(i + 1) % 9].host
        assert (aim.host.x, aim.host.y) == pytest.approx((0.2 * 0.262, -0.3 * 0.262))
        assert aim.transmission == pytest.approx(list(TRANSMISSION.values()), rel=1e-6)
        assert aim.magnitude[2] == pytest.approx(ROWS["mag_z"][i].as_py(), abs=1e-4)
        if ROWS["type"][i].as_py() == "REX":
            assert aim.host.q is None
        else:
            assert aim.host.q == pytest.approx((1 - e[i]) / (1 + e[i]), rel=1e-5)


def test_without_dust_and_flux_there_is_no_extinction_and_no_magnitude():
    bare = ROWS.drop_columns([f"mw_transmission_{band}" for band in "grz"])
    at = bare.schema.get_field_index("flux_g")
    bare = bare.set_column(at, "flux_g", pa.array([0.0] * 9, pa.float32()))
    aim = targets_of(bare, OFFSETS, LS_DR10)[0]
    assert aim.transmission.tolist() == [1, 1, 1]
    assert np.isnan(aim.magnitude[0])


def test_a_host_without_a_psf_is_refused():
    with pytest.raises(InputError, match="8 hosts have no PSF, such as 1500p020_1"):
        targets_of(ROWS, OFFSETS, LS_DR10, {"1500p020_0": np.zeros((3, 5, 5), np.float32)})
