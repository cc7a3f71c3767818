"""One injection into one cutout: what is added, to which pixels, how the noise grows, and what its columns say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lensctl.injection.drawing import Host, geometry_of, source_of
from lensctl.injection.injector import Injected, Injector, Settings, Target
from lensctl.rules.survey import LS_DR10
from tests.toys.hosts import GAIN, PSFSIZE, pixels_of, rows_of

IMAGES, INVVAR = pixels_of(rows_of(1), 101)
IMAGE, WEIGHT = IMAGES[0], INVVAR[0]
HOST, NEXT = Host("a", 0.7, 0.4, 0.05, -0.08), Host("b", 0.9, 1.2)
TARGET = Target(HOST, NEXT, PSFSIZE, np.array([0.8, 0.9, 1.0]), np.array([21.0, 19.5, 18.5]), GAIN)
BEFORE = 1 / WEIGHT.astype(float)


def injector(**options: object) -> Injector:
    return Injector(Settings(**options), LS_DR10, 101, np.full(3, 0.85))


def injected(target: Target = TARGET, k: int = 0, **options: object) -> Injected:
    return injector(**options).inject(target, k, IMAGE, WEIGHT)


def per_band(done: Injected, name: str) -> np.ndarray:
    return np.array([done.columns[f"{name}_{band}"] for band in "grz"])


def test_the_cutout_that_is_given_is_left_as_it_was():
    image, weight = IMAGE.copy(), WEIGHT.copy()
    for control in (None, "null", "noise"):
        injector(control=control).inject(TARGET, 0, image, weight)
        assert image.tobytes() == IMAGE.tobytes()
        assert weight.tobytes() == WEIGHT.tobytes()


def test_nothing_is_clipped():
    assert (injected().image < 0).any()


def test_nan_stays_nan_and_exact_zeros_stay_zero():
    spoiled = IMAGE.copy()
    spoiled[45:50, 40:60, 1] = np.nan
    spoiled[52:60, 48] = 0
    done = injector().inject(TARGET, 0, spoiled, WEIGHT)
    assert (np.isnan(done.image) == np.isnan(spoiled)).all()
    assert ((done.image == 0) == (spoiled == 0)).all()
    others = np.isfinite(spoiled) & (spoiled != 0)
    assert (done.image[others] == injected().image[others]).all()


def test_invvar_without_data_stays_as_it_was():
    weight = WEIGHT.copy()
    weight[40:45], weight[45:50], weight[50:55] = 0, np.nan, -1
    done = injector().inject(TARGET, 0, IMAGE, weight)
    assert done.invvar[40:55].tobytes() == weight[40:55].tobytes()
    assert done.invvar[55:].tobytes() == injected().invvar[55:].tobytes()


@pytest.mark.parametrize(("vary", "factor"), [(None, 1.0), ("gain*1.5", 1.5), ("gain/1.5", 1 / 1.5)])
def test_the_variance_grows_by_the_light_over_the_gain(vary, factor):
    done = injected(vary=vary)
    bright = done.arcs > 0.01 * done.arcs.max()
    grown = 1 / done.invvar.astype(float) - BEFORE
    assert grown[bright] == pytest.approx((done.arcs / (GAIN * factor))[bright], rel=0.02)


@pytest.mark.parametrize("options", [{"noise": "none"}, {"vary": "no-noise"}])
def test_without_noise_the_arcs_alone_are_added_and_the_variance_is_the_hosts(options):
    done = injected(**options)
    assert done.image.tobytes() == (IMAGE + done.arcs).tobytes()
    assert done.invvar.tobytes() == WEIGHT.tobytes()


def test_null_is_the_host_to_the_bit_and_noise_is_the_injection_less_its_arcs():
    plain, null, noise = (injected(control=control) for control in (None, "null", "noise"))
    assert (null.image.tobytes(), null.invvar.tobytes()) == (IMAGE.tobytes(), WEIGHT.tobytes())
    assert noise.image - IMAGE == pytest.approx(plain.image - IMAGE - plain.arcs, abs=1e-6)
    assert not noise.arcs.any()
    assert noise.invvar.tobytes() == plain.invvar.tobytes()


def test_shared_noise_is_smoother_than_independent_noise_of_the_same_numbers():
    shared, white = (injected(noise=noise) for noise in ("resampled", "white"))
    bright = white.arcs[..., 1] > 0.1 * white.arcs[..., 1].max()
    spread = [np.std((done.image - IMAGE - done.arcs)[..., 1][bright]) for done in (shared, white)]
    assert spread[0] < 0.97 * spread[1]


def test_the_noise_of_each_injection_of_a_host_is_its_own():
    """Alike in nothing but the light it is of: where both are bright, the numbers drawn do not agree."""
    both = [injected(noise="white", k=k) for k in (0, 1)]
    bright = np.logical_and(*(done.arcs > 0.03 * done.arcs.max(axis=(0, 1)) for done in both))
    drawn = [(done.image - IMAGE - done.arcs)[bright] / np.sqrt((done.arcs / GAIN)[bright]) for done in both]
    assert bright.sum() > 50
    assert abs(np.corrcoef(*drawn)[0, 1]) < 0.4


def test_given_kernels_take_the_place_of_the_moffat():
    point = np.zeros((65, 65), np.float32)
    point[32, 32] = 1
    sharp = injected(dataclasses.replace(TARGET, kernels=[point] * 3))
    assert (per_band(sharp, "arc_peak") > 1.2 * per_band(injected(), "arc_peak")).all()
    assert per_band(sharp, "arc_mag") == pytest.approx(per_band(injected(), "arc_mag"))


def test_one_injector_does_not_take_the_psf_of_the_host_before():
    one = injector()
    wide = dataclasses.replace(TARGET, psfsize=1.5 * PSFSIZE)
    for target in (TARGET, wide, TARGET):
        assert one.inject(target, 0, IMAGE, WEIGHT).image.tobytes() == injected(target).image.tobytes()


def test_without_invvar_there_is_none_and_no_signal_to_noise():
    done = injector().inject(TARGET, 0, IMAGE, None)
    assert done.invvar is None
    assert np.isnan(per_band(done, "arc_snr")).all()
    assert done.image.tobytes() == injected().image.tobytes()


def test_columns_say_how_visible_the_arcs_are():
    done = injected()
    arcs = done.arcs.astype(float)
    assert per_band(done, "arc_snr") == pytest.approx(np.sqrt((arcs**2 * WEIGHT).sum(axis=(0, 1))), rel=1e-5)
    assert per_band(done, "arc_peak") == pytest.approx(arcs.max(axis=(0, 1)))
    for b, band in enumerate("grz"):
        below = IMAGE[..., b].ravel()[arcs[..., b].argmax()]
        expected = arcs[..., b].max() / below if below > 0 else np.nan
        assert done.columns[f"arc_contrast_{band}"] == pytest.approx(expected, nan_ok=True)


def test_dust_dims_the_arcs_and_not_the_source():
    clear, dusty = (dataclasses.replace(TARGET, transmission=np.full(3, t)) for t in (1.0, 0.5))
    assert per_band(injected(dusty), "arc_mag") - per_band(injected(clear), "arc_mag") == pytest.approx(
        0.7526, abs=1e-4
    )
    for name in ("source_mag", "lensed_mag"):
        assert per_band(injected(dusty), name) == pytest.approx(per_band(injected(clear), name))


def test_grey_arcs_have_the_colours_of_the_host_and_keep_theirs_where_it_has_none():
    grey, plain = injected(control="grey"), injected()
    assert per_band(grey, "arc_mag") - TARGET.magnitude == pytest.approx(
        np.full(3, plain.columns["arc_mag_r"] - TARGET.magnitude[1])
    )
    dark = dataclasses.replace(TARGET, magnitude=np.array([np.nan, 19.5, 18.5]))
    assert injected(dark, control="grey").columns["arc_mag_g"] == pytest.approx(plain.columns["arc_mag_g"])
    without = dataclasses.replace(TARGET, magnitude=np.array([21.0, np.nan, 18.5]))  # no colour is known
    assert per_band(injected(without, control="grey"), "arc_mag") == pytest.approx(per_band(plain, "arc_mag"))


def test_swapped_takes_einstein_radius_and_source_of_the_next_host_and_the_rest_of_its_own():
    geometry, source = injector(control="swapped").drawn(TARGET, 3)
    design = Settings().design
    own, other = (geometry_of(host, design, 42, 3) for host in (HOST, NEXT))
    assert geometry.lens == dataclasses.replace(own.lens, theta_e=other.lens.theta_e)
    assert source == source_of(NEXT, design, 42, 3, "mixed")


def test_a_lens_free_of_the_light_has_the_centre_of_the_host_and_another_shape():
    free, own = (injector(vary=vary).drawn(TARGET, 0)[0].lens for vary in ("q-free", None))
    assert (free.x, free.y, free.theta_e) == (own.x, own.y, own.theta_e)
    assert free.q != own.q


def test_injections_of_a_host_differ_and_each_is_the_same_again():
    assert injected(k=0).image.tobytes() == injected(k=0).image.tobytes()
    assert len({injected(k=k).image.tobytes() for k in range(3)}) == 3
