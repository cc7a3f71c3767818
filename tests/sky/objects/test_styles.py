"""The other style differs in everything that a choice could lean on, and says by how much its noise does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lensctl.astro import sersic
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.sky import lenses, window
from lensctl.sky.objects import features, population
from lensctl.sky.objects.styles import DEFAULT, OTHER, STYLES, style_of
from lensctl.sky.pointings import generator


def test_an_unknown_style_is_refused_by_name():
    assert style_of("other") is OTHER
    with pytest.raises(InputError, match="there is no style 'others' of a mock sky") as refusal:
        style_of("others")
    assert refusal.value.fix == "choose from default, other"


def test_the_styles_share_no_number_that_is_seen_in_pixels():
    same = [f.name for f in dataclasses.fields(DEFAULT) if getattr(DEFAULT, f.name) == getattr(OTHER, f.name)]
    assert same == []


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_fractions_of_kinds_add_up_and_name_the_same_kinds(style):
    assert sum(style.kinds.values()) == pytest.approx(1, abs=0.03)
    assert set(style.kinds) == set(population.KINDS)


def test_noise_spread_by_the_kernel_keeps_the_stated_factor():
    kernel = np.array([OTHER.noise_spread, 1 - 2 * OTHER.noise_spread, OTHER.noise_spread])
    assert OTHER.noise_factor == pytest.approx(np.sqrt(np.square(np.outer(kernel, kernel)).sum()))
    assert DEFAULT.noise_factor == 1


def test_galaxies_of_the_other_style_have_a_core_and_an_envelope_with_all_their_light():
    objects, kind, _ = population.galaxies(generator(1), 300, LS_DR10, OTHER)
    parts, owner = features.components(generator(2), objects, kind, LS_DR10, OTHER)
    plain = np.flatnonzero(np.isin(kind, ["early", "disc"]))
    for row in plain[:20]:
        assert (owner == row).sum() == 2
        assert parts["flux_r"][owner == row].sum() == pytest.approx(objects["flux_r"][row])
        sizes = parts["r_half"][owner == row] / objects["r_half"][row]
        assert sizes == pytest.approx([features.CORE, features.ENVELOPE])
    alone = features.components(generator(2), objects, kind, LS_DR10)[1]
    assert (np.bincount(alone, minlength=300)[plain] == 1).all()


def test_colours_of_early_types_and_sources_differ_between_the_styles(plan):
    colour, arcs = {}, {}
    host = {"flux_g": 1.6, "flux_r": 6.0, "flux_z": 14.0, "r_half": 1.1, "n": 4.0, "q": 0.8, "phi": 0.4}
    sigma = np.array([0.003, 0.004, 0.01])
    for style in STYLES.values():
        objects, kind, _ = population.galaxies(generator(1), 2000, LS_DR10, style)
        red = (kind == "early") & (objects["redshift"] > 0.2)
        colour[style.name] = np.median(-2.5 * np.log10(objects["flux_g"] / objects["flux_r"])[red])
        psfs = window.psfs_of(generator(3), plan[0])
        drawn = [lenses.draw(generator(i), host, "probable", psfs, sigma, (0, 0), LS_DR10, style)[0] for i in range(40)]
        facts = [arcs.facts for arcs in drawn]
        arcs[style.name] = np.median([2.5 * np.log10(f["source_flux_r"] / f["source_flux_g"]) for f in facts])
        assert np.median([f["theta_e"] for f in facts]) == pytest.approx(style.einstein_arcsec["probable"], rel=0.15)
        for each in drawn:  # knots are in the source: its light is all there
            lensed = each.facts["magnification"] * each.facts["source_flux_r"]
            assert each.image[1].sum() == pytest.approx(lensed, rel=1e-3)
    assert colour["default"] - colour["other"] > 0.08
    assert arcs["other"] - arcs["default"] > 0.08


def test_a_source_with_knots_has_unit_flux_half_of_it_in_them():
    disc = sersic.Sersic(0.0, 0.0, 1.0, 0.3, 1.0)
    knots = [sersic.Sersic(0.2, 0.1, 0.5, 0.1, 0.5), sersic.Sersic(-0.1, 0.2, 0.5, 0.1, 0.5)]
    step = 0.01
    y, x = np.mgrid[-3:3:step, -3:3:step]
    total = lenses.source_brightness(disc, knots)(x, y).sum() * step**2
    assert total == pytest.approx(1, rel=0.01)
    plain = lenses.source_brightness(disc, [])(x, y)
    assert plain.sum() * step**2 == pytest.approx(1, rel=0.01)
    assert lenses.source_brightness(disc, knots)(x, y).max() > 2 * np.median(plain[abs(np.hypot(x, y) - 0.2) < 0.02])
