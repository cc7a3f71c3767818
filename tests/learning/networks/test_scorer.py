"""A model at work on blocks of cutouts; cutouts unlike those it was trained on are refused, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lensctl.io.cutouts.by_manifest import Origin
from lensctl.io.provenance.steps import Step
from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.networks import architectures
from lensctl.learning.networks.checkpoint import ModelCard, ScoringModel
from lensctl.learning.networks.scorer import Scorer, refuse_other_cutouts
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.learning.networks.test_scoring import model
from tests.toys import pixels
from tests.toys.surveys import INFRARED


def scorer(members: int = 2, **how: object) -> Scorer:
    networks = []
    for k in range(members):
        torch.manual_seed(k)
        networks.append(architectures.build("shielded").eval())
    card = ModelCard("shielded", 16, Normalisation("asinh"), members=members)
    return Scorer(ScoringModel(tuple(networks), card, "sha256:0", (), "run"), device="cpu", **how)


def test_a_cutout_with_a_bad_pixel_has_no_logit_and_changes_no_other():
    images = pixels.images(9, 20)
    spoiled = images.copy()
    spoiled[3, 10, 10, 0] = np.inf
    spoiled[5, 0, 0, 2] = np.nan
    of_all, found = scorer().member_logits(images), scorer().member_logits(spoiled)
    assert of_all.shape == (9, 2)
    assert np.flatnonzero(np.isnan(found).all(axis=1)).tolist() == [3, 5]
    good = [0, 1, 2, 4, 6, 7, 8]
    np.testing.assert_allclose(found[good], of_all[good], atol=1e-5)
    assert scorer().members == 2


def test_no_cutouts_have_no_logits_and_all_bad_ones_none():
    assert scorer().member_logits(np.zeros((0, 16, 16, 3), np.float32)).shape == (0, 2)
    assert np.isnan(scorer().member_logits(np.full((2, 16, 16, 3), np.nan, np.float32))).all()


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
