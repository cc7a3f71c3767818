"""Draws follow the design, depend on seed, galaxy, number and purpose alone, and sources lie where images multiply."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lensctl.injection import drawing
from lensctl.injection.design import DEFAULT
from lensctl.injection.drawing import Host, geometry_of, source_of
from lensctl.injection.streams import GEOMETRY, NOISE, SOURCE, stream

HOSTS = [Host(f"0001p000_{i}", 0.7, 0.5) for i in range(400)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), k=st.integers(0, 50), id=st.text("0123456789pm_", min_size=1, max_size=12))
def test_the_same_arguments_draw_the_same_whatever_else_was_drawn(seed, k, id):
    one = stream(seed, id, k, GEOMETRY).random(5)
    stream(seed, id, k, NOISE).random(100)
    assert stream(seed, id, k, GEOMETRY).random(5).tolist() == one.tolist()
    for other in (stream(seed + 1, id, k, GEOMETRY), stream(seed, id, k + 1, GEOMETRY), stream(seed, id, k, SOURCE)):
        assert other.random(5).tolist() != one.tolist()
    host = Host(id, 0.8, 0.1)
    assert geometry_of(host, DEFAULT, seed, k) == geometry_of(host, DEFAULT, seed, k)
    assert source_of(host, DEFAULT, seed, k, "mixed") == source_of(host, DEFAULT, seed, k, "mixed")


def test_lenses_follow_the_design():
    lenses = [geometry_of(host, DEFAULT, 42, 0).lens for host in HOSTS]
    log_theta = np.log([lens.theta_e for lens in lenses])
    assert stats.kstest(log_theta, "uniform", (np.log(0.5), np.log(7.0))).pvalue > 1e-3
    q = np.array([lens.q for lens in lenses])
    assert np.mean(q) == pytest.approx(0.75, abs=0.02)
    assert np.std(q) == pytest.approx(0.07, abs=0.012)
    assert np.std([lens.phi for lens in lenses]) == pytest.approx(0.15, abs=0.02)
    shear = np.hypot([lens.gamma1 for lens in lenses], [lens.gamma2 for lens in lenses])
    assert shear.max() <= DEFAULT.shear_most
    assert np.median(shear) == pytest.approx(0.6745 * DEFAULT.shear_scatter, rel=0.2)
    round_ = [geometry_of(Host(host.id), DEFAULT, 42, 0).lens for host in HOSTS]
    assert 1 - np.mean([lens.q for lens in round_]) == pytest.approx(0.27 * np.sqrt(np.pi / 2), rel=0.12)
    assert np.ptp([lens.phi for lens in round_]) > 3


def test_sources_lie_uniformly_where_there_are_two_images_or_more():
    found = [geometry_of(host, DEFAULT, 7, 1) for host in HOSTS]
    assert all(g.n_images >= 2 for g in found)
    round_ = dataclasses.replace(DEFAULT, lens_q_range=(0.97, 0.98), shear_scatter=0.0)
    shares = [
        np.hypot(g.source_x, g.source_y) / g.lens.theta_e
        for g in (geometry_of(host, round_, 7, k) for host in HOSTS for k in range(3))
    ]
    assert np.max(shares) < 1.06
    assert stats.kstest(np.clip(np.square(shares), 0, 1), "uniform").pvalue > 1e-3  # in area


def test_sources_follow_the_design():
    found = [source_of(host, DEFAULT, 42, k, "mixed") for host in HOSTS for k in range(2)]
    assert np.mean([s.model == "clumpy" for s in found]) == pytest.approx(0.5, abs=0.06)
    magnitudes = [s.lensed_mag for s in found]
    assert stats.kstest(magnitudes, "uniform", (18.5, 5.5)).pvalue > 1e-3
    assert stats.kstest(np.log([s.main.r_half for s in found]), "uniform", (np.log(0.02), np.log(60))).pvalue > 1e-3
    first, second = np.array([s.colours for s in found]).T
    assert np.median(first) == pytest.approx(0.25, abs=0.03)
    assert np.median(second) == pytest.approx(0.45, abs=0.03)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.5, abs=0.07)
    assert first.min() >= -0.5
    for source in found:
        assert sum(source.weights) == pytest.approx(1)
        assert all(sum(part.flux for part in group) == pytest.approx(1) for group in source.groups)
        if source.model == "clumpy":
            assert 0.60 <= source.weights[0] <= 0.85
            assert 2 <= len(source.groups[1]) <= 6
            assert all(0.03 <= part.r_half <= 0.10 for part in source.groups[1])


@pytest.mark.parametrize("model", ["sersic", "clumpy"])
def test_one_kind_alone_draws_the_same_numbers(model):
    for host in HOSTS[:20]:
        one, mixed = source_of(host, DEFAULT, 1, 0, model), source_of(host, DEFAULT, 1, 0, "mixed")
        assert one.model == model
        assert (one.lensed_mag, one.colours, one.main.r_half) == (mixed.lensed_mag, mixed.colours, mixed.main.r_half)


def test_another_einstein_radius_changes_nothing_else_of_the_lens():
    host = HOSTS[0]
    plain, other = geometry_of(host, DEFAULT, 3, 0), geometry_of(host, DEFAULT, 3, 0, theta_e=2.2)
    assert other.lens == dataclasses.replace(plain.lens, theta_e=2.2)


def test_models_are_named():
    assert drawing.MODELS == ("mixed", "sersic", "clumpy", "stamps")
