"""The injection gate passes what inject makes, and sees each fault planted in its pixels or its table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lensctl.rules.errors import InputError
from tests.toys.cases import first
from tests.toys.hosts import make_hosts
from tests.toys.injections import make_injections, spoiled
from tests.toys.judging import failed, judge


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    return make_injections(tmp_path_factory.mktemp("honest"))


def test_what_inject_makes_passes(honest):
    checks = judge("injection", honest)
    assert failed(checks) == []
    assert next(c for c in checks if c.check.startswith("shape and PSF")).n > 20


@pytest.mark.parametrize(
    "options",
    first(
        6,
        [{"noise": "white"}, {"source_model": "clumpy"}, {"vary": "psfsize+5"}]
        + [{"control": c} for c in ("null", "noise", "swapped", "unlensed", "radial", "axisymmetric", "grey")]
        + [{"vary": v} for v in ("gain*1.5", "no-noise", "re+20", "q-free", "psf-beta-3.5")],
    ),
    ids=lambda options: "-".join(options.values()),
)
def test_controls_and_variations_pass(tmp_path, options):
    assert failed(judge("injection", make_injections(tmp_path, count=12, **options))) == []


def blurred(pixels, columns):
    wide = gaussian_filter(pixels["arcs"], (0, 1, 1, 0))
    pixels["images"] += wide - pixels["arcs"]
    pixels["arcs"] = wide


def noisier(pixels, columns):
    rng = np.random.default_rng(0)
    pixels["images"] += rng.standard_normal(pixels["images"].shape) * np.sqrt(np.maximum(pixels["arcs"], 0) / 20_000)


def column(name, change):
    def spoil(pixels, columns):
        columns[name] = change(columns[name])

    return spoil


def pixel(name, change):
    def spoil(pixels, columns):
        change(pixels[name])

    return spoil


def one_host_of_another(pixels, columns):
    pixels["images"][5] = pixels["images"][10]


def filled(images):
    images[4:6, :3] = np.nan
    images[5, :3] = 0.01


def pedestal(images):
    images[5] += 0.01


def bright_pixel(images):
    images[5, 20, 20, 1] += 0.02


FAULTS = {
    "flux": (column("arc_mag_g", lambda v: v + 0.1), "flux of the arcs in g is that of arc_mag_g"),
    "PSF of the pixels": (blurred, "shape and PSF of the arcs are those of the table"),
    "PSF of the table": (column("psfsize_r", lambda v: v * 1.1), "shape and PSF of the arcs are those of the table"),
    "geometry": (column("theta_e", lambda v: v * 1.02), "shape and PSF of the arcs are those of the table"),
    "noise": (noisier, "variance of the noise in r over arc/gain"),
    "gain": (column("gain_r", lambda v: v * 1.5), "variance of the noise in r over arc/gain"),
    "gain of 150": (column("gain_g", lambda v: v * 0 + 150), "sky by gain and noise in g"),
    "no gain": (column("gain_z", lambda v: v * np.nan), "gain in z above 0"),
    "gain that scatters": (
        column("gain_z", lambda v: v * np.resize([0.1, 1.0, 10.0], len(v))),
        "spread of the gain in z",
    ),
    "two sources of gain": (
        column("gain_source", lambda v: np.array(["nominal", *v[1:]], object)),
        "one source of the gain",
    ),
    "another host": (one_host_of_another, "rows of one host agree far out"),
    "filled": (pixel("images", filled), "nothing added where there are no data"),
    "weight where there is none": (
        pixel("invvar", lambda planes: planes.__setitem__((5, 0, 0), 0)),
        "nothing added where there are no data",
    ),
    "pedestal": (pixel("images", pedestal), "host light untouched but for the arcs and their noise"),
    "a pixel": (pixel("images", bright_pixel), "host light untouched but for the arcs and their noise"),
    "theta_e": (column("theta_e", lambda v: np.minimum(v, 1.0)), "theta_e covers the design"),
    "beyond": (column("theta_e", lambda v: np.where(v == v[0], 3.9, v)), "theta_e covers the design"),
    "lensed_mag": (column("lensed_mag_r", lambda v: 18.5 + (v - 18.5) / 2), "lensed_mag covers the design"),
    "size": (column("source_r_half", lambda v: v**0 * 0.3), "source_r_half covers the design"),
    "one image": (column("n_images", lambda v: np.where(v == v[0], 1, v)), "two images or more"),
    "another design": (
        column("design_digest", lambda v: np.array(["sha256:0", *v[1:]], object)),
        "one design, the stated one",
    ),
    "no pixels": (column("status", lambda v: np.array(["http_error"] * len(v), object)), "injections to judge"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(honest, tmp_path, fault):
    spoil, check = FAULTS[fault]
    assert check in failed(judge("injection", spoiled(honest, tmp_path / "s.zarr", spoil)))


@pytest.mark.parametrize("name", ["images", "invvar"])
def test_null_that_differs_by_a_bit_is_seen(tmp_path, name):
    null = make_injections(tmp_path, count=6, control="null")

    def spoil(pixels, columns):
        pixels[name][1, 50, 50, 0] = np.nextafter(pixels[name][1, 50, 50, 0], np.float32(np.inf))

    assert "null rows equal to the bit" in failed(judge("injection", spoiled(null, tmp_path / "s.zarr", spoil)))


@pytest.mark.parametrize("control", ["null", "noise"])
def test_light_in_a_control_without_any_is_seen(tmp_path, control):
    made = make_injections(tmp_path, count=6, control=control)

    def spoil(pixels, columns):
        pixels["arcs"][0] += 0.1

    assert f"control {control} adds no light" in failed(judge("injection", spoiled(made, tmp_path / "s.zarr", spoil)))


def test_noise_cannot_be_told_of_one_injection_a_host(tmp_path):
    red = failed(judge("injection", make_injections(tmp_path, per_host=1)))
    assert "pairs of rows of one host to judge" in red
    assert "rows of one host agree far out" in red


def test_a_store_of_no_injections_is_refused(tmp_path):
    with pytest.raises(InputError, match="not made by `lensctl inject`"):
        judge("injection", make_hosts(tmp_path / "h", count=4).store)
