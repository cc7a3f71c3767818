"""A model at work on blocks of cutouts; what it refuses is tested with `lensctl score`."""

from __future__ import annotations

import numpy as np
import torch

from lensctl.learning.data.normalise import Normalisation
from lensctl.learning.networks import architectures
from lensctl.learning.networks.checkpoint import ModelCard, ScoringModel
from lensctl.learning.networks.scoring import Scorer
from tests.toys import pixels


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
