"""The homogeneity gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lensctl.gates.classes import NAMES, labels_of, usable
from lensctl.gates.registry import NoSettings, gate
from lensctl.gates.shortcuts import origins
from lensctl.io.cutouts.by_manifest import Cutouts
from lensctl.rules import checks, schema
from lensctl.rules.checks import Check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lensctl.gates.inputs import Inputs
    from lensctl.io.cutouts.by_manifest import Form
    from lensctl.rules.survey import Survey

GATE = "homogeneity"


@gate(GATE, inputs="MANIFEST")
def homogeneity(inputs: Inputs, settings: NoSettings) -> Iterator[Check]:
    """All cutouts have the same survey, bands, size, source, layer, release, pixel scale and side of the sky.

    Survey, bands, size and pixel scale are those that each store or .npz recorded, whatever the manifest names.
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
    cutouts = Cutouts(manifest, inputs.root)
    forms = cutouts.forms()
    surveys = list(dict.fromkeys(form.survey for form in forms))
    for check, texts in _of_forms(forms, surveys).items():
        yield _one_value(check, np.array(texts), label)
    for what, values in origins.of(manifest, cutouts, surveys[0]).items():
        yield _one_value(f"one {what.replace('_arcsec', '').replace('_', ' ')}", values, label)


def _of_forms(forms: Sequence[Form], surveys: Sequence[Survey]) -> dict[str, list[str]]:
    """What each cutout is, by check; surveys of one name but other values are told apart by a number."""
    names = {survey: survey.name for survey in surveys}
    for k, survey in enumerate(surveys):
        if [other.name for other in surveys].count(survey.name) > 1:
            names[survey] = f"{survey.name}, version {k + 1}"
    return {
        "one survey of the cutouts": [names[form.survey] for form in forms],
        "one set of bands": [
            ", ".join(form.survey.bands) if form.bands == len(form.survey.bands) else f"{form.bands} bands"
            for form in forms
        ],
        "one size in pixels": [str(form.size_px) for form in forms],
    }


def _one_value(check: str, values: NDArray[np.str_], label: NDArray[np.int8]) -> Check:
    """Check that there is only one value; offenders show the count of each value per class."""
    names, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = [
        f"{names[k]}: "
        + ", ".join(f"{int(((values == names[k]) & (label == value)).sum()):,} {name}" for value, name in NAMES.items())
        for k in order
    ]
    if len(names) > 1:
        offenders = tuple(shown[: checks.OFFENDERS_SHOWN])
        return Check(GATE, check, False, len(names), limit="= 1", n=len(values), offenders=offenders)
    return Check(GATE, check, True, 1, limit="= 1", n=len(values), note=str(names[0]))
