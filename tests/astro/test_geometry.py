"""Positions on the sphere, against astropy and against the slow obvious way."""

from __future__ import annotations

import math

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from lensctl.astro import geometry
from lensctl.rules.errors import InputError

RA = st.floats(0, 360)
DEC = st.floats(-90, 90)
# clumps of neighbours anywhere on the sky, poles and the RA wrap included
CLUMP = st.tuples(
    st.sampled_from([(0.0, 0.0), (359.9999, 32.0), (123.4, -60.0), (10.0, 89.999), (200.0, -89.9995), (0.0, 90.0)]),
    st.lists(st.tuples(st.floats(-40, 40), st.floats(-40, 40)), min_size=1, max_size=12),
)


def spread(clump):
    """Positions (degrees) at tangent-plane offsets (arcsec) from a centre."""
    (ra, dec), offsets = clump
    centre = SkyCoord(ra * u.deg, dec * u.deg)
    there = SkyCoord([centre.spherical_offsets_by(x * u.arcsec, y * u.arcsec) for x, y in offsets])
    return there.ra.deg, there.dec.deg


@settings(deadline=None)
@given(RA, DEC, RA, DEC)
def test_separation_agrees_with_astropy_everywhere(ra1, dec1, ra2, dec2):
    theirs = SkyCoord(ra1 * u.deg, dec1 * u.deg).separation(SkyCoord(ra2 * u.deg, dec2 * u.deg)).arcsec
    assert geometry.nearest(ra1, dec1, ra2, dec2)[1][0] == pytest.approx(theirs, abs=1e-7, rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(CLUMP)
def test_pairs_are_those_of_all_pairs_tried(clump):
    ra, dec = spread(clump)
    sky = SkyCoord(ra * u.deg, dec * u.deg)
    truth = [
        (i, j)
        for i in range(len(ra))
        for j in range(len(ra))
        if sky[i].separation(sky[j]).arcsec <= 11.0 + 1e-6  # clear of rounding at the edge
    ]
    i, j, sep = geometry.pairs_within(ra, dec, ra, dec, 11.0 + 1e-6)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == truth
    assert np.allclose(sep, [sky[a].separation(sky[b]).arcsec for a, b in truth], atol=1e-7)
    i, j, _ = geometry.pairs_among(ra, dec, 11.0 + 1e-6)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(a, b) for a, b in truth if a < b]


@settings(deadline=None, max_examples=40)
@given(CLUMP, CLUMP)
def test_nearest_agrees_with_astropy(clump, other):
    ra, dec = spread(clump)
    ra_ref, dec_ref = spread(other)
    index, sep = geometry.nearest(ra, dec, ra_ref, dec_ref)
    _, theirs, _ = SkyCoord(ra * u.deg, dec * u.deg).match_to_catalog_sky(SkyCoord(ra_ref * u.deg, dec_ref * u.deg))
    assert np.allclose(sep, theirs.arcsec, atol=1e-7)
    chosen = SkyCoord(ra_ref[index] * u.deg, dec_ref[index] * u.deg)
    assert np.allclose(sep, SkyCoord(ra * u.deg, dec * u.deg).separation(chosen).arcsec, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(CLUMP)
def test_groups_are_the_chains_of_neighbours(clump):
    ra, dec = spread(clump)
    labels = list(range(len(ra)))
    i, j, _ = geometry.pairs_among(ra, dec, 15.0)
    for _ in labels:  # the slow way: the smaller label spreads until nothing moves
        for a, b in zip(i, j, strict=True):
            labels[a] = labels[b] = min(labels[a], labels[b])
    ours = geometry.groups_within(ra, dec, 15.0)
    assert [(a == b) for a in ours for b in ours] == [(a == b) for a in labels for b in labels]
    assert list(dict.fromkeys(ours.tolist())) == list(range(ours.max() + 1))


@settings(deadline=None)
@given(st.floats(0, 360), st.floats(-80, 80), st.floats(-60, 60), st.floats(-60, 60))
def test_boxes_overlap_where_both_offsets_are_below_the_side(ra, dec, east, north):
    ra2, dec2 = ra + east / 3600 / np.cos(np.radians(dec)), dec + north / 3600
    if min(abs(abs(east) - 26.5), abs(abs(north) - 26.5)) > 0.06:  # sides turned by the meridians' convergence
        assert geometry.boxes_overlap(ra, dec, ra2, dec2, 26.5)[0] == (abs(east) < 26.5 and abs(north) < 26.5)


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ((359.999, 0.0), (0.001, 0.0), True),  # 7.2 arcsec apart, across the wrap
        ((359.99, 0.0), (0.01, 0.0), False),
        ((0.0, 89.9999), (180.0, 89.9999), True),  # across the pole
        ((0.0, 90.0), (77.0, 90.0), True),  # the pole itself has every right ascension
        ((0.0, 89.99), (180.0, 89.99), False),
        ((45.0, 90.0), (90.0, 90.0 - 29.0 / 3600), True),  # a corner turned by 45 degrees reaches farther
        ((90.0, 90.0), (90.0, 90.0 - 29.0 / 3600), False),
        ((10.0, 20.0), (190.0, -20.0), False),  # the other side of the sky
    ],
)
def test_boxes_at_the_wrap_and_the_poles(first, second, shared):
    assert geometry.boxes_overlap(*first, *second, 26.5)[0] == shared
    assert geometry.boxes_overlap(*second, *first, 26.5)[0] == shared


@settings(deadline=None, max_examples=40)
@given(CLUMP)
def test_overlapping_pairs_are_those_of_all_pairs_tried(clump):
    ra, dec = spread(clump)
    truth = [
        (i, j)
        for i in range(len(ra))
        for j in range(i + 1, len(ra))
        if geometry.boxes_overlap(ra[i], dec[i], ra[j], dec[j], 26.462)[0]
    ]
    i, j = geometry.overlapping_pairs(ra, dec, 26.462)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == truth


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.9999, 45.0), (123.0, -89.99999), (10.0, 90.0)])
def test_a_radius_includes_its_edge_and_nothing_beyond(ra, dec):
    for apart, near in ((10.99999, True), (11.00001, False)):
        other = dec + apart / 3600 if dec < 0 else dec - apart / 3600
        assert len(geometry.pairs_within([ra], [dec], [ra], [other], 11.0)[0]) == near
        assert len(geometry.pairs_among([ra, ra], [dec, other], 11.0)[0]) == near
        assert len(set(geometry.groups_within([ra, ra], [dec, other], 11.0))) == 2 - near


def test_nothing_has_no_neighbours():
    nothing = np.zeros(0)
    assert len(geometry.pairs_within(nothing, nothing, [1.0], [2.0], 5.0)[0]) == 0
    assert len(geometry.pairs_among(nothing, nothing, 5.0)[0]) == 0
    assert len(geometry.groups_within(nothing, nothing, 5.0)) == 0
    assert len(geometry.overlapping_pairs(nothing, nothing, 26.462)[0]) == 0
    index, sep = geometry.nearest([1.0], [2.0], nothing, nothing)
    assert index.tolist() == [-1]
    assert np.isinf(sep).all()


@pytest.mark.parametrize(("ra", "dec"), [(np.nan, 0.0), (0.0, np.nan), (np.inf, 0.0), (0.0, 90.1)])
def test_a_position_that_is_none_is_refused_with_its_row(ra, dec):
    with pytest.raises(InputError, match="row 1 is not a position"):
        geometry.unit_vectors([0.0, ra], [0.0, dec])


@settings(deadline=None, max_examples=60)
@given(CLUMP, CLUMP, st.floats(0.1, 4000))
def test_a_neighbourhood_holds_what_is_near_its_positions(clump, other, radius_arcsec):
    ra, dec = spread(clump)
    ra_ref, dec_ref = spread(other)
    _, sep = geometry.nearest(ra, dec, ra_ref, dec_ref)
    sky = geometry.Neighbourhood(ra_ref, dec_ref, radius_arcsec)
    assert sky.holds(ra, dec).tolist() == (sep <= radius_arcsec).tolist()
    assert sky.may_hold(ra, dec)[sep <= radius_arcsec].all()


@pytest.mark.parametrize("radius_arcsec", [11.0, 60.0, 700.0])
def test_a_neighbourhood_passes_over_nothing_anywhere_on_the_sky(radius_arcsec):
    random = np.random.default_rng(3)
    ra_ref = np.r_[random.uniform(0, 360, 3000), 0.0, 360.0, 10.0]
    dec_ref = np.r_[np.degrees(np.arcsin(random.uniform(-1, 1, 3000))), 89.97, -89.9, 90.0]
    angle, share = random.uniform(0, 360, len(ra_ref)), random.uniform(0, 1.5, len(ra_ref))
    near = SkyCoord(ra_ref * u.deg, dec_ref * u.deg).directional_offset_by(
        angle * u.deg, share * radius_arcsec * u.arcsec
    )
    ra, dec = near.ra.deg, near.dec.deg
    _, sep = geometry.nearest(ra, dec, ra_ref, dec_ref)
    held = geometry.Neighbourhood(ra_ref, dec_ref, radius_arcsec).holds(ra, dec)
    assert (held == (sep <= radius_arcsec)).all()


@pytest.mark.parametrize("radius", [-1.0, 1e308, math.inf, math.nan, 3601.0])
def test_a_radius_that_is_none_is_refused(radius):
    geometry.refuse_wide("radius_arcsec", 0.0)
    geometry.refuse_wide("radius_arcsec", 3600.0)
    with pytest.raises(InputError, match="radius_arcsec is"):
        geometry.refuse_wide("radius_arcsec", radius)
