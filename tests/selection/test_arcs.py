from __future__ import annotations

import numpy as np
import pytest

from lensctl.injection import drawing
from lensctl.injection.design import DEFAULT
from lensctl.injection.rendering import Renderer
from lensctl.rules.survey import LS_DR10
from lensctl.selection import arcs
from lensctl.selection.arcs import NUMBERS, arcs_of, magnification_of


def drawn(n: int, processes: int | None = 1, q: float = 0.8):
    rng = np.random.default_rng(0)
    theta_e = rng.uniform(0.5, 3.0, n)
    return theta_e, arcs_of(
        theta_e, np.full(n, q), np.full(n, 0.3), seed=42, design=DEFAULT, survey=LS_DR10, processes=processes
    )


def test_magnifications_are_those_that_inject_traces():
    """Both are numbers of the same image; inject's has pixels of 0.262 arcsec, and a stamp that ends."""
    renderer = Renderer(LS_DR10, LS_DR10.cutout_size_px)
    ratio = []
    for k in range(150):
        geometry = drawing.geometry_of(drawing.Host("h", 0.8, 0.3), DEFAULT, 1, k)
        source = drawing.source_of(drawing.Host("h"), DEFAULT, 1, k, "mixed")
        traced = renderer.traced(geometry, source).sum(axis=(1, 2))
        ratio.append(magnification_of(geometry, source, renderer) / traced)
    off = np.abs(np.array(ratio) - 1)
    assert np.median(off) < 1e-3
    assert np.quantile(off, 0.95) < 0.01
    assert off.max() < 0.1


def test_shapes_are_those_that_inject_draws_for_the_same_host():
    theta_e, made = drawn(20)
    for k in range(20):
        host = drawing.Host("population", 0.8, 0.3)
        geometry = drawing.geometry_of(host, DEFAULT, 42, k, float(theta_e[k]))
        source = drawing.source_of(host, DEFAULT, 42, k, "mixed")
        assert geometry.lens.q == made.numbers["lens_q"][k]
        assert geometry.source_x == made.numbers["source_x"][k]
        assert source.main.r_half == made.numbers["source_r_half"][k]
        assert source.model == made.model[k]


def test_several_processes_and_tasks_give_the_same(monkeypatch):
    _, one = drawn(30)
    monkeypatch.setattr(arcs, "TASK_ROWS", 7)
    _, many = drawn(30, 2)
    for name in NUMBERS:
        assert (one.numbers[name] == many.numbers[name]).all()
    for name in ("model", "area", "relative", "magnification"):
        assert (getattr(one, name) == getattr(many, name)).all()


def test_clumpy_sources_are_magnified_by_their_colours():
    _, made = drawn(40)
    spread = np.ptp(made.magnification, axis=1)
    assert (spread[made.model == "clumpy"] > 0).any()
    assert np.allclose(spread[made.model == "sersic"], 0)


def test_areas_are_those_of_a_disc_but_for_shape():
    _, made = drawn(40)
    assert (made.area > 0.8).all()
    assert (made.area < 1.1).all()


def test_a_host_without_a_shape_is_round():
    _, made = drawn(10, q=float("nan"))
    assert made.numbers["lens_q"].min() >= DEFAULT.lens_q_range[0]
    assert len(set(made.numbers["lens_phi"])) == 10


@pytest.mark.soak
def test_magnifications_are_those_that_inject_traces_for_many():
    renderer = Renderer(LS_DR10, LS_DR10.cutout_size_px)
    off = []
    for k in range(3000):
        geometry = drawing.geometry_of(drawing.Host("h", 0.7, 0.3), DEFAULT, 2, k)
        source = drawing.source_of(drawing.Host("h"), DEFAULT, 2, k, "mixed")
        traced = renderer.traced(geometry, source).sum(axis=(1, 2))
        off.append(np.abs(magnification_of(geometry, source, renderer) / traced - 1).max())
    assert np.median(off) < 1e-3
    assert np.quantile(off, 0.99) < 0.04
