"""Rays end where independent codes say, images keep their light, and magnification is that of the formula."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from lensctl.astro import ray_tracing
from lensctl.astro.lensing import Lens, lensed_image
from lensctl.astro.ray_tracing import RayTracer
from lensctl.astro.sersic import Sersic

SCALE = 0.262


def lens_of(rng: np.random.Generator, q: float | None = None) -> Lens:
    shear, angle = min(abs(rng.normal(0, 0.05)), 0.15), rng.uniform(0, 2 * np.pi)
    return Lens(
        theta_e=float(np.exp(rng.uniform(*np.log((0.5, 3.5))))),
        q=float(rng.uniform(0.4, 0.98)) if q is None else q,
        phi=float(rng.uniform(0, np.pi)),
        gamma1=float(shear * np.cos(angle)),
        gamma2=float(shear * np.sin(angle)),
        x=float(rng.uniform(-0.13, 0.13)),
        y=float(rng.uniform(-0.13, 0.13)),
    )


def in_lenstronomy(lens: Lens) -> tuple[list[str], list[dict[str, float]]]:
    """The same lens: lenstronomy's Einstein radius is that along the middle of the axes too, its e1, e2 of the mass."""
    e = (1 - lens.q) / (1 + lens.q)
    sie = {
        "theta_E": lens.theta_e,
        "e1": e * np.cos(2 * lens.phi),
        "e2": e * np.sin(2 * lens.phi),
        "center_x": lens.x,
        "center_y": lens.y,
    }
    shear = {"gamma1": lens.gamma1, "gamma2": lens.gamma2, "ra_0": lens.x, "dec_0": lens.y}
    return ["SIE", "SHEAR"], [sie, shear]


@pytest.mark.parametrize("seed", range(40))
def test_the_deflection_is_that_of_lenstronomy(seed):
    from lenstronomy.LensModel.lens_model import LensModel

    rng = np.random.default_rng(seed)
    lens = lens_of(rng, q=1.0 if seed == 0 else None)
    names, values = in_lenstronomy(lens)
    x, y = rng.uniform(-8, 8, (2, 300))
    theirs = LensModel(names).alpha(x, y, values)
    ours = lens.deflection(x, y)
    tolerance = 1e-4 if lens.q > 0.97 else 1e-6  # lenstronomy softens the core of round lenses
    assert np.abs(np.stack(ours) - np.stack(theirs)).max() < max(tolerance, 1e-6)
    tracer = RayTracer(61, SCALE, lens)
    beta = tracer.source_plane(x.astype(np.float32), y.astype(np.float32))
    exact = lens.source_plane(x.astype(np.float32), y.astype(np.float32))
    assert np.abs(np.stack(beta) - np.stack(exact)).max() < 4e-6 if lens.q < 0.99 else 1e-3


@pytest.mark.parametrize("seed", range(25))
def test_images_are_those_of_lenstronomy_within_half_a_percent_of_the_peak(seed):
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    rng = np.random.default_rng(100 + seed)
    lens = lens_of(rng)
    source = Sersic(
        float(lens.x + rng.normal(0, 0.3)),
        float(lens.y + rng.normal(0, 0.3)),
        1.0,
        float(rng.uniform(0.15, 0.8)),
        float(rng.uniform(0.6, 2.4)),
        float(rng.uniform(0.3, 1)),
        float(rng.uniform(0, np.pi)),
    )
    names, values = in_lenstronomy(lens)
    rays = 25
    edge = (61 - 1 / rays) / 2 * SCALE
    x, y = np.meshgrid(*[np.linspace(-edge, edge, 61 * rays)] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        at = LensModel(names).ray_shooting(x.ravel(), y.ravel(), values)
        e = (1 - source.q) / (1 + source.q)
        light = {
            "amp": 1.0,
            "R_sersic": source.r_half * np.sqrt(source.q),  # theirs is along the middle of the axes
            "n_sersic": source.n,
            "e1": e * np.cos(2 * source.phi),
            "e2": e * np.sin(2 * source.phi),
            "center_x": source.x,
            "center_y": source.y,
        }
        fine = LightModel(["SERSIC_ELLIPSE"]).surface_brightness(*at, [light])
    theirs = fine.reshape(61, rays, 61, rays).mean(axis=(1, 3))
    ours = RayTracer(61, SCALE, lens).trace([source])
    assert np.abs(ours / ours.max() - theirs / theirs.max()).max() < 0.006


@pytest.mark.parametrize("seed", range(20))
def test_tracing_only_the_pixels_that_see_the_source_loses_no_light(seed):
    rng = np.random.default_rng(seed)
    lens = lens_of(rng)
    source = Sersic(0.2, -0.1, 1.0, float(rng.uniform(0.1, 0.6)), float(rng.uniform(0.5, 2.5)), 0.7, 0.5)
    whole = lensed_image(lens, source.brightness, size=61, pixel_scale=SCALE, oversample=25)
    traced = RayTracer(61, SCALE, lens).trace([source])
    assert traced.sum() == pytest.approx(whole.sum(), rel=2e-3)
    assert np.abs(traced - whole).max() < 5e-3 * whole.max()


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8, 1.0])
def test_a_disc_behind_an_isothermal_sphere_is_magnified_by_four_einstein_radii_over_its_own(share):
    """The image is the ring between theta_E - R and theta_E + R, of area 4 pi theta_E R."""
    theta_e = 1.5
    radius = share * theta_e
    tracer = RayTracer(61, SCALE, Lens(theta_e, 1.0))

    def disc(x, y):
        return (x * x + y * y < radius**2).astype(np.float32) / np.float32(np.pi * radius**2)

    found = tracer.image(disc, 0.0, 0.0, radius, rays=24).sum()
    assert found == pytest.approx(4 * theta_e / radius, rel=1e-3)


def test_a_point_has_two_images_on_either_side():
    lens, beta = Lens(1.5, 1.0), 0.4
    x, y = lens.images(beta, 0.0)
    assert sorted(x) == pytest.approx([beta - 1.5, beta + 1.5], abs=1e-6)
    assert y == pytest.approx([0, 0], abs=1e-6)
    source = Sersic(beta, 0, 1.0, 0.02, 0.5)
    image = RayTracer(61, SCALE, lens).trace([source])
    axis = (np.arange(61) - 30) * SCALE
    for side, at in ((axis > 0, beta + 1.5), (axis < 0, beta - 1.5)):
        row, column = np.unravel_index(np.argmax(image * side[None, :]), image.shape)
        assert row == 30
        assert axis[column] == pytest.approx(at, abs=SCALE / 2)


@pytest.mark.parametrize("r_half", [0.02, 0.05, 0.12, 0.6, 1.2])
@pytest.mark.parametrize("n", [0.5, 1.0, 3.0])
def test_flux_without_a_lens_is_conserved(r_half, n):
    part = Sersic(0.07, -0.05, 3.0, r_half, n, 0.7, 0.3)
    found = RayTracer(61, SCALE).trace([part]).sum()
    y, x = (np.mgrid[-200:201, -200:201] * 0.04).astype(float)  # the stamp, finely
    within = part.brightness(x, y).sum() * 0.04**2 if ray_tracing.reach_arcsec(part) > 7.5 else 3.0
    assert found == pytest.approx(within, rel=0.0015 if within == 3.0 else 0.01)


def test_the_light_of_small_sources_is_that_of_much_finer_rays():
    rng = np.random.default_rng(5)
    off = []
    for _ in range(30):
        lens = lens_of(rng)
        source = Sersic(float(lens.x + 0.3), float(lens.y + 0.1), 1.0, float(rng.uniform(0.02, 0.1)), 1.0, 0.6, 1.0)
        tracer = RayTracer(61, SCALE, lens)
        reach = ray_tracing.reach_arcsec(source)
        fine = tracer.image(ray_tracing._profile(source), source.x, source.y, reach, 80).sum()
        off.append(tracer.trace([source]).sum() / fine - 1)
    assert np.abs(off).max() < 0.003
    assert abs(np.mean(off)) < 0.001


def test_a_quarter_turn_about_a_point_turns_the_image_and_keeps_its_light():
    lens, source = Lens(1.6, 0.7, 0.4), Sersic(0.3, 0.2, 1.0, 0.3, 1.0)
    straight = RayTracer(61, SCALE, lens).trace([source])
    turned = RayTracer(61, SCALE, lens, (0.0, 0.0)).trace([source])
    assert turned == pytest.approx(np.rot90(straight, 3), rel=1e-3, abs=1e-5 * straight.max())
    away = RayTracer(61, SCALE, lens, (SCALE, -2 * SCALE)).trace([source])
    assert away.sum() == pytest.approx(straight.sum(), rel=1e-3)


def test_images_are_counted_as_they_are_found():
    rng = np.random.default_rng(1)
    counts = []
    for _ in range(200):
        lens = lens_of(rng)
        away, angle = 1.4 * lens.theta_e * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        at = lens.x + away * np.cos(angle), lens.y + away * np.sin(angle)
        counts.append(lens.image_count(*at))
        assert counts[-1] == len(lens.images(*at)[0])
    assert {1, 2, 4} <= set(counts)
