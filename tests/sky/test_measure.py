"""The catalogue's noise, exposures and mask bits are those of its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toys.small_sky import plane


def test_noise_in_the_catalogue_is_that_of_the_pixels(root, plan, tractor):
    p = next(p for p in plan if not p.dirt.missing_band)
    row = tractor[tractor["brickid"] == p.brick.id][0]
    sigma = 1 / np.sqrt(float(plane(root, p, "invvar", "r")[round(row["by"]), round(row["bx"])]))
    gaussian = 4 * np.pi * (row["psfsize_r"] / 2.3548 / 0.262) ** 2
    assert 1 / np.sqrt(row["psfdepth_r"]) == pytest.approx(sigma * np.sqrt(gaussian), rel=0.25)
    assert row["galdepth_r"] < row["psfdepth_r"]


def test_catalogue_counts_exposures_as_the_maps_do(root, plan, tractor):
    unexposed = 0
    for p in plan:
        rows = tractor[tractor["brickid"] == p.brick.id]
        for band in set("grz") - {p.dirt.missing_band}:
            nexp = plane(root, p, "nexp", band)
            near = [nexp[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2] for x, y in rows[["bx", "by"]]]
            for count, around in zip(rows[f"nobs_{band}"], near, strict=True):
                assert count in around
        bare = rows[f"nobs_{p.dirt.unexposed_band or 'g'}"] == 0
        assert (rows[f"flux_{p.dirt.unexposed_band or 'g'}"][bare] == 0).all()
        unexposed += bare.sum()
    assert unexposed


def test_objects_carry_the_maskbits_of_their_pixel(root, plan, tractor):
    p = next(p for p in plan if p.dirt.bright_star)
    bits = plane(root, p, "maskbits")
    rows = tractor[tractor["brickid"] == p.brick.id]
    assert rows["maskbits"].any()
    for row in rows:
        y, x = round(row["by"]), round(row["bx"])
        assert row["maskbits"] in bits[y - 1 : y + 2, x - 1 : x + 2]
