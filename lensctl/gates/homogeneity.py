"""The homogeneity gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lensctl.gates import origins
from lensctl.gates.classes import NAMES, labels_of, usable
from lensctl.gates.registry import NoSettings, gate
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.rules import checks, schema
from lensctl.rules.checks import Check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.gates.inputs import Inputs

GATE = "homogeneity"


@gate(GATE, inputs="MANIFEST")
def homogeneity(inputs: Inputs, settings: NoSettings) -> Iterator[Check]:
    """All cutouts have the same source, layer, release, pixel scale and side of the survey, in both classes.

    Rows with a failed cutout are not used for training and not checked.
    """
    schema.require(inputs.manifest, "galaxy_id", "label", "ra", "dec", "cutout_ok", "cutout_path", where=inputs.path)
    schema.refuse_bad_positions(inputs.manifest, inputs.path)
    manifest = usable(inputs.manifest)
    label = labels_of(manifest)
    for value, name in NAMES.items():
        yield checks.some(GATE, name, int((label == value).sum()))
    if not manifest.num_rows:
        return
    for what, values in origins.of(manifest, Cutouts(manifest, inputs.root), inputs.survey).items():
        yield _one_value(what, values, label)


def _one_value(what: str, values: NDArray[np.str_], label: NDArray[np.int8]) -> Check:
    """Check that there is only one value; offenders show the count of each value per class."""
    names, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [
        f"{names[k]}: "
        + ", ".join(f"{int(((values == names[k]) & (label == value)).sum()):,} {name}" for value, name in NAMES.items())
        for k in order
    ]
    check = f"one {what.replace('_arcsec', '').replace('_', ' ')}"
    if len(names) > 1:
        offenders = tuple(shown[: checks.OFFENDERS_SHOWN])
        return Check(GATE, check, False, len(names), limit="= 1", n=len(values), offenders=offenders)
    return Check(GATE, check, True, 1, limit="= 1", n=len(values), note=str(names[0]))
