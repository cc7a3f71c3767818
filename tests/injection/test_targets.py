"""Hosts of a table as targets: the shape is the inverse of the catalogue's, and the next host is that in MD5 order."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.injection.targets import order_of, targets_of
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys.hosts import TRANSMISSION, rows_of

ROWS = rows_of(9)
OFFSETS = np.tile([0.2, -0.3], (9, 1))


def test_a_target_has_the_shape_dust_and_centre_of_its_row():
    aims = targets_of(ROWS, OFFSETS, LS_DR10, 42)
    e1, e2 = (ROWS[name].to_numpy().astype(float) for name in ("shape_e1", "shape_e2"))
    e = np.hypot(e1, e2)
    for i, aim in enumerate(aims):
        assert aim.host.id == ROWS["galaxy_id"][i].as_py()
        assert (aim.host.x, aim.host.y) == pytest.approx((0.2 * 0.262, -0.3 * 0.262))
        assert aim.transmission == pytest.approx(list(TRANSMISSION.values()), rel=1e-6)
        assert aim.magnitude[2] == pytest.approx(ROWS["mag_z"][i].as_py(), abs=1e-4)
        if ROWS["type"][i].as_py() == "REX":
            assert aim.host.q is None
        else:
            assert aim.host.q == pytest.approx((1 - e[i]) / (1 + e[i]), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(9)), seed=st.integers(0, 100))
def test_a_host_is_followed_by_the_next_in_md5_order_whatever_the_order_of_rows(order, seed):
    aims = targets_of(ROWS.take(order), OFFSETS, LS_DR10, seed)
    follows = {aim.host.id: aim.following.id for aim in aims}
    ids = ROWS["galaxy_id"].to_pylist()
    by_digest = sorted(ids, key=lambda id: hashlib.md5(f"{seed}:{id}".encode()).hexdigest())
    assert [follows[id] for id in by_digest] == [*by_digest[1:], by_digest[0]]
    assert [ids[row] for row in order_of(ids, seed)] == by_digest


def test_without_dust_and_flux_there_is_no_extinction_and_no_magnitude():
    bare = ROWS.drop_columns([f"mw_transmission_{band}" for band in "grz"])
    at = bare.schema.get_field_index("flux_g")
    bare = bare.set_column(at, "flux_g", pa.array([0.0] * 9, pa.float32()))
    aim = targets_of(bare, OFFSETS, LS_DR10, 42)[0]
    assert aim.transmission.tolist() == [1, 1, 1]
    assert np.isnan(aim.magnitude[0])


def test_a_host_without_a_psf_is_refused():
    with pytest.raises(InputError, match="8 hosts have no PSF, such as 1500p020_1"):
        targets_of(ROWS, OFFSETS, LS_DR10, 42, {"1500p020_0": np.zeros((3, 5, 5), np.float32)})
