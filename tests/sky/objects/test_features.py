"""The components of a galaxy have its light in every band, and colours of their own."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.sky.objects import features, population
from lensctl.sky.pointings import generator
from tests.toys.small_sky import example


@pytest.mark.parametrize("name", ["griz", "vis-yjh"])
@pytest.mark.parametrize("kind", [kind for kind in population.KINDS if kind != "pair"])
def test_the_components_of_a_galaxy_have_its_light_in_every_band(name, kind):
    survey, rng = example(name), generator(5)
    galaxies, kinds, _ = population.galaxies(rng, 400, survey)
    parts, owner = features.components(rng, galaxies, kinds, survey)
    for row in np.flatnonzero(kinds == kind)[:5]:
        for flux in survey.per_band("flux"):
            assert parts[flux][owner == row].sum() == pytest.approx(galaxies[flux][row], rel=1e-9)


@pytest.mark.parametrize("name", ["griz", "vis-yjh"])
def test_companions_add_blue_light_to_a_pair(name):
    survey, rng = example(name), generator(5)
    galaxies, kinds, _ = population.galaxies(rng, 400, survey)
    parts, owner = features.components(rng, galaxies, kinds, survey)
    first, last = survey.per_band("flux")[0], survey.per_band("flux")[-1]
    bluer = []
    for row in np.flatnonzero(kinds == "pair"):
        others = (owner == row) & (parts[first] != galaxies[first][row])
        assert others.sum() in (1, 2)
        bluer += list(parts[first][others] / parts[last][others] / (galaxies[first][row] / galaxies[last][row]))
    assert np.median(bluer) > 1.3


@pytest.mark.parametrize(("name", "blue", "red"), [("griz", "g", "z"), ("vis-yjh", "VIS", "H")])
def test_the_arms_of_a_spiral_are_bluer_than_its_bulge(name, blue, red):
    survey, rng = example(name), generator(5)
    galaxies, kinds, _ = population.galaxies(rng, 400, survey)
    parts, owner = features.components(rng, galaxies, kinds, survey)
    colour = parts[f"flux_{blue}"] / parts[f"flux_{red}"]
    for row in np.flatnonzero(kinds == "spiral"):
        bulge = (owner == row) & (parts["n"] == 2.5)
        arms = (owner == row) & (parts["n"] == features.GAUSSIAN)
        assert colour[bulge].max() < colour[arms].min()
