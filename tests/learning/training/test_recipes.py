"""Recipes: by name, of settings that there are, and the plan's as the plan has them."""

from __future__ import annotations

import pytest

from lensctl.learning.training.recipes import RECIPES, recipe
from lensctl.learning.training.settings import TrainConfig
from lensctl.rules.errors import InputError


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_of_settings_that_there_are(name):
    config = TrainConfig(**recipe(name))
    assert {key: getattr(config, key) for key in recipe(name)} == recipe(name)


def test_the_plan_has_no_floor_of_steps_and_the_default_has():
    assert TrainConfig().has_floor
    assert not TrainConfig(**recipe("plan")).has_floor
    assert TrainConfig(**recipe("plan")).length(4400).all_steps == 510


def test_an_unknown_recipe_is_named_with_the_near_one():
    with pytest.raises(InputError, match=r"no recipe 'plans' \(did you mean 'plan'\?\)"):
        recipe("plans")
