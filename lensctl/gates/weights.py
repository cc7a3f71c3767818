"""The weights gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.comparing.arrays import numbers, texts
from lensctl.gates.registry import gate, setting
from lensctl.rules import checks, schema
from lensctl.rules.derived import POOLS, UNIFORM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.gates.inputs import Inputs
    from lensctl.rules.checks import Check

GATE = "weights"
FLOAT32_SLACK = 1e-6  # 0.6 stored as float32 is a little more than 0.6


@dataclass(frozen=True)
class Settings:
    """Limits of the weights gate."""

    tier_a: float = setting(1.0, "exact weight of tier A")
    tier_b: tuple[float, float] = setting((0.3, 0.6), "minimum and maximum weight of tier B")
    negative: float = setting(1.0, "exact weight of negatives")


@gate(GATE, inputs="MANIFEST", settings=Settings)
def weights(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """Every row has the weight of its tier (A 1.0, B 0.3 to 0.6, negatives 1.0) and a tier that fits its label."""
    manifest = inputs.manifest
    schema.require(manifest, "galaxy_id", "label", "tier", "sample_weight", where=inputs.path)
    ids, tier = texts(manifest, "galaxy_id"), texts(manifest, "tier")
    label, weight = numbers(manifest, "label"), numbers(manifest, "sample_weight")
    is_lens, is_not = label == 1, label == 0

    def judge(check: str, good: NDArray[np.bool_], among: NDArray[np.bool_]) -> Check:
        bad = np.flatnonzero(among & ~good)
        shown = [
            f"{ids[i]} (label {label[i]:g}, tier {tier[i] or 'null'}, weight {weight[i]:g})"
            for i in bad[: checks.OFFENDERS_SHOWN]
        ]
        return checks.none(GATE, check, shown, int(among.sum()), len(bad))

    everything = np.ones(len(ids), bool)
    yield checks.some(GATE, "positives", int(is_lens.sum()))
    yield checks.some(GATE, "negatives", int(is_not.sum()))
    if not len(ids):
        return
    yield judge("label is 0 or 1", is_lens | is_not, everything)
    fits = (is_lens & np.isin(tier, ("A", "B"))) | (is_not & np.isin(tier, (*POOLS, UNIFORM)))
    yield judge("tier fits the label: A, B for 1, N0, N1, N2 for 0", fits, everything)
    yield judge("weight is finite and positive", np.isfinite(weight) & (weight > 0), everything)
    yield judge(f"tier A weighs {limits.tier_a:g}", weight == limits.tier_a, tier == "A")
    low, high = limits.tier_b
    inside = (weight >= low - FLOAT32_SLACK) & (weight <= high + FLOAT32_SLACK)
    yield judge(f"tier B weighs {low:g} to {high:g}", inside, tier == "B")
    yield judge(f"negatives weigh {limits.negative:g}", weight == limits.negative, is_not)
