"""Cutouts unlike those that a model was trained on are refused; what is not known is no reason to."""

from __future__ import annotations

import pytest

from lensctl.io.cutouts.by_manifest import Origin
from lensctl.io.provenance.steps import Step
from lensctl.learning.networks.scoring import refuse_other_cutouts
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.learning.networks.test_scoring import model
from tests.toys.surveys import INFRARED

OF_LS = (Step("cutout", {}),)
OF_INFRARED = (Step("cutout", {}, survey=INFRARED),)


@pytest.mark.parametrize(
    ("card", "layers", "scales", "chain", "message"),
    [
        ({}, ("ls-dr10",), (0.262,), OF_INFRARED, "the cutouts are of survey infrared, run was trained on ls-dr10"),
        ({"survey": INFRARED}, (), (0.1,), OF_LS, "the cutouts are of survey ls-dr10, run was trained on infrared"),
        (
            {"layers": ("ls-dr10",)},
            ("ls-dr10", "ls-dr9-north"),
            (0.262,),
            OF_LS,
            "cutouts of layer ls-dr9-north, run was trained on ls-dr10",
        ),
        ({}, (), (float("nan"),), OF_LS, "cutouts of nan arcsec per pixel, run was trained on 0.262"),
        ({}, ("ls-dr10",), (0.262, 0.524), OF_LS, "cutouts of 0.524 arcsec per pixel, run was trained on 0.262"),
    ],
)
def test_cutouts_unlike_those_it_was_trained_on_are_refused_in_a_sentence(card, layers, scales, chain, message):
    with pytest.raises(InputError) as error:
        refuse_other_cutouts(model(**card), [chain], Origin(layers, scales, (chain,)), None)
    assert str(error.value) == message
    assert error.value.fix == "score cutouts like those it was trained on, or train on these"


def test_cutouts_like_those_it_was_trained_on_pass_and_what_is_not_known_is_no_reason_to_refuse():
    for card in ({"layers": ("ls-dr10", "ls-dr9-north")}, {"layers": ()}):
        found = refuse_other_cutouts(model(**card), [OF_LS], Origin(("ls-dr10",), (0.26202,), (OF_LS,)), None)
        assert found == LS_DR10
    assert refuse_other_cutouts(model(survey=INFRARED), [()], Origin((), (), ()), INFRARED) == INFRARED
