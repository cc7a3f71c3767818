"""Cutouts to logits by a model, refused where they are not of the kind that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.cutouts.by_manifest import Origin
from lensctl.io.provenance.steps import Chain, common_survey
from lensctl.learning.networks import predict
from lensctl.learning.networks.on_cpu import rewritten
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.learning.networks.checkpoint import ScoringModel

SCALE_TOLERANCE = 0.01


class Scorer:
    """A model on a device.

    Parameters
    ----------
    model : ScoringModel
    device, threads
        See `predict.pick_device`.
    tta : bool
        Average each logit over the eight rotations and flips.
    embedding : bool
        Give what enters the last layer too: of an ensemble the members' one after the other, because they have no axes
        in common.
    """

    def __init__(
        self,
        model: ScoringModel,
        *,
        device: str = "auto",
        threads: int | None = None,
        tta: bool = False,
        embedding: bool = False,
    ) -> None:
        self.model, self._tta = model, tta
        self._place = predict.pick_device(device, threads)
        self._networks = predict.modules(model, self._place)
        if self._place.type == "cpu":
            for each in self._networks:
                each.network = rewritten(each.network)
        self.width = sum(predict.last_layer(network).in_features for network in self._networks) if embedding else 0
        """Length of an embedding; 0 if none is wanted."""

    @property
    def members(self) -> int:
        """Number of networks."""
        return len(self._networks)

    def member_logits(self, cutouts: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logit of each cutout by each member: (N, K), as of `seen`."""
        return self.seen(cutouts)[0]

    def seen(self, cutouts: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Logit of each cutout by each member, and its embedding.

        Parameters
        ----------
        cutouts : (N, S, S, B) float32
            Nanomaggies; the central crop is used.

        Returns
        -------
        (N, K) float64, (N, width) float32
            NaN for a cutout with a pixel that is NaN or infinite.

        Raises
        ------
        InputError
            Cutouts smaller than the crop or of other bands, or a model that returns NaN.
        """
        card, where = self.model.card, self.model.where
        if cutouts.shape[1] < card.crop:
            raise InputError(
                f"cutouts of {cutouts.shape[1]} px are smaller than the model's crop of {card.crop} px",
                "cut larger ones, or train with a smaller --crop",
            )
        if cutouts.shape[3] != len(card.bands):
            raise InputError(
                f"cutouts of {cutouts.shape[3]} bands, {where} was trained on {', '.join(card.bands)}",
                "score cutouts like those it was trained on",
            )
        found = np.full((len(cutouts), len(self._networks)), np.nan)
        features = np.full((len(cutouts), self.width), np.nan, np.float32)
        if not len(cutouts):
            return found, features
        pixels = cutouts.reshape(len(cutouts), -1)
        finite = np.isfinite(pixels.min(axis=1)) & np.isfinite(pixels.max(axis=1))  # both propagate NaN
        scorable = cutouts if finite.all() else cutouts[finite]
        if self.width:
            of_model = predict.logits_and_embedding(self._networks, scorable, self._place, tta=self._tta)
            logits, features[finite] = of_model
        else:
            logits = predict.logits(self._networks, scorable, self._place, tta=self._tta)
        if not np.isfinite(logits).all():
            raise InputError(f"{where}: the model returns NaN for good cutouts", "its weights are bad; train again")
        found[finite] = logits
        return found, features


def refuse_other_cutouts(
    model: ScoringModel, chains: Sequence[Chain], origin: Origin, survey: Survey | str | None
) -> Survey:
    """The survey of cutouts to be scored; InputError if the model was trained on another, on other layers or pixels.

    Parameters
    ----------
    chains : sequence of Chain
        Provenance of the table and of the cutouts.
    origin : Origin
        Layers and pixel scales of the cutouts.
    survey : Survey or str, optional
        Of cutouts whose provenance names none; default ls-dr10.
    """
    found, own = common_survey(survey, *chains), model.card
    fix = "score cutouts like those it was trained on, or train on these"
    if found != own.survey:
        raise InputError(f"the cutouts are of survey {found.name}, {model.where} was trained on {own.survey.name}", fix)
    others = sorted(set(origin.layers) - set(own.layers))
    if own.layers and others:
        raise InputError(
            f"cutouts of layer {', '.join(others)}, {model.where} was trained on {', '.join(own.layers)}", fix
        )
    for scale in origin.pixel_scales_arcsec:
        if not abs(scale / own.pixel_scale_arcsec - 1) <= SCALE_TOLERANCE:
            raise InputError(
                f"cutouts of {scale:.4g} arcsec per pixel, {model.where} was trained on {own.pixel_scale_arcsec:.4g}",
                fix,
            )
    return found
