"""The frozen model whose selection function is measured: verified, with its thresholds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.frozen import layout
from lensctl.io.provenance.steps import Chain, from_json, last_step, step_input, survey_of
from lensctl.rules.config import as_written, json_value, nearest
from lensctl.rules.errors import InputError
from lensctl.stats import thresholds as chosen_on
from lensctl.stats.intervals import LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Input
    from lensctl.rules.survey import Survey

SCORERS = ("score", "selection measure")
OWN_LOGIT = re.compile(r"logit=([-+]?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Threshold:
    """A galaxy is detected if its logit is at or above `logit`.

    `low` and `high` are where the threshold of another validation sample of the same size would lie, 95 %, as far as
    its rows are independent; None where it does not depend on the rows, or is open.
    """

    name: str
    logit: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class FrozenModel:
    """A frozen model that verified.

    Attributes
    ----------
    where : str
    digest : str
        Of its weights.
    thresholds : tuple of Threshold
        Those that have a value.
    tta : bool
        Whether the scores that the thresholds were chosen on are means over rotations and flips.
    chain : Chain
        Steps from the pool to the freezing.
    source : Input
        For the provenance of what is made of it.
    mock : bool
    """

    where: str
    digest: str
    thresholds: tuple[Threshold, ...]
    tta: bool
    chain: Chain
    source: Input
    mock: bool

    @property
    def survey(self) -> Survey:
        """Of its training."""
        return survey_of(self.chain)

    def refuse_other_scores(self, chain: Chain, where: str) -> None:
        """Raise InputError for scores that are not known to be of this model, made as those of its thresholds were."""
        step = last_step(chain, *SCORERS)
        model = None if step is None else step.input("model")
        if step is None or model is None or model.digest != self.digest:
            whose = "no model that is known" if model is None else f"another model ({model.digest[:19]}…)"
            raise InputError(
                f"{where}: its scores are of {whose}, not of {self.where} ({self.digest[:19]}…)",
                f"score it with {self.where}",
            )
        if bool(step.parameters.get("tta")) != self.tta:
            how = ("without --tta", "with --tta")
            raise InputError(
                f"{where}: scored {how[not self.tta]}, but {self.where} has thresholds of scores {how[self.tta]}",
                f"score it {how[self.tta]}",
            )

    def chosen(self, names: Sequence[str], *, exploratory: bool) -> tuple[Threshold, ...]:
        """Thresholds by name, all if none is named; `logit=3.2` is one of one's own, and needs `exploratory`.

        Raises InputError for a name that is none, or that has no value, or for a threshold of one's own.
        """
        if not names:
            return self.thresholds
        known = {point.name: point for point in self.thresholds}
        found = []
        for name in dict.fromkeys(names):
            own = OWN_LOGIT.fullmatch(name)
            if own and not exploratory:
                raise InputError(
                    f"--threshold {name} is none of the frozen ones: {', '.join(known)}",
                    "add --exploratory, which marks every output, or name a frozen one",
                )
            if not own and name not in known:
                raise InputError(
                    f"{self.where} has no threshold '{name}'{nearest(name, known)}", f"it has {', '.join(known)}"
                )
            found.append(Threshold(name, float(own[1])) if own else known[name])
        return tuple(found)


def read_frozen(folder: str | Path, key: str | Path | None) -> FrozenModel:
    """Verify a frozen model and read its thresholds.

    Raises InputError where it does not verify, or is not signed by `key`, or has no threshold.
    """
    from lensctl.frozen.proof.checks import proven_snapshot  # torch

    found = proven_snapshot(folder, device="cpu", key=key)
    with as_written(str(folder), "see `lensctl verify`"):
        facts, kept = json_value(found[layout.FROZEN]), json_value(found[layout.THRESHOLDS])
        where = f"{folder}/{layout.THRESHOLDS}"
        others = np.sort(np.asarray(chosen_on.unpack(kept["val_scores"]["others"], where), np.float64))[::-1]
        points = tuple(_threshold(point, others) for point in kept["points"] if point["logit"] is not None)
        chain = from_json(found[layout.PROVENANCE], f"{folder}/{layout.PROVENANCE}")
        evaluated = last_step(chain, "score")
        model = FrozenModel(
            Path(folder).name,
            str(facts["model_digest"]),
            points,
            bool(evaluated and evaluated.parameters.get("tta")),
            chain,
            step_input("frozen", str(folder), found.digest(layout.SUMS), chain),
            bool(facts.get("mock")),
        )
    if not points:
        raise InputError(f"{folder}: none of its thresholds has a value", "freeze a model with more validation rows")
    return model


def _threshold(point: dict[str, Any], others: NDArray[np.float64]) -> Threshold:
    """A threshold and its interval: that of the number of non-lenses above it, binomial, read off their logits."""
    from scipy.stats import binom

    logit = float(point["logit"])
    if point["target_fpr"] is None and point["name"] != chosen_on.ABOVE_ALL:
        return Threshold(str(point["name"]), logit)
    n, above = len(others), int((others >= logit).sum())
    most, fewest = (int(binom.ppf(q, n, max(above, 1) / n)) for q in ((1 + LEVEL) / 2, (1 - LEVEL) / 2))
    high = float(others[fewest - 1]) if above and fewest else None
    return Threshold(str(point["name"]), logit, float(others[min(most, n - 1)]), high)
