"""Objects of a window have room for a cutout, a place in their brick and an id; only lenses have lens facts."""

from __future__ import annotations

import numpy as np

from lensctl.sky import bricks, lenses, window


def test_every_object_has_room_for_a_cutout_and_lies_in_its_brick(plan, tractor):
    side = {p.brick.id: p.size for p in plan}
    edge = np.array([side[i] for i in tractor["brickid"]]) - 1
    for name in ("bx", "by"):
        assert tractor[name].min() > 50.5
        assert (tractor[name] < edge - 50.5).all()
    for ra, dec, name in zip(tractor["ra"], tractor["dec"], tractor["brickname"], strict=True):
        assert bricks.brick_at(ra, dec).name == name
    assert tractor["brick_primary"].all()


def test_ids_are_unique_and_contiguous_within_a_brick(tractor):
    for brick in np.unique(tractor["brickid"]):
        ids = tractor["objid"][tractor["brickid"] == brick]
        assert ids.tolist() == list(range(len(ids)))


def test_only_lenses_have_lens_parameters(truth):
    for name in window.LENS_FACTS:
        known = truth[name].is_valid().to_numpy(zero_copy_only=False)
        assert (known == truth["is_lens"].to_numpy(zero_copy_only=False)).all()
    theta_e = truth["theta_e"].drop_null().to_numpy()
    assert lenses.EINSTEIN_RANGE_ARCSEC[0] <= theta_e.min() <= theta_e.max() <= lenses.EINSTEIN_RANGE_ARCSEC[1]
