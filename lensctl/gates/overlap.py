"""The overlap gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import geometry
from lensctl.comparing.arrays import numbers, texts
from lensctl.gates.classes import NEGATIVE, POSITIVE, labels_of
from lensctl.gates.registry import gate, setting
from lensctl.rules import checks, schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.gates.inputs import Inputs
    from lensctl.rules.checks import Check

GATE = "overlap"


@dataclass(frozen=True)
class Settings:
    """Limits of the overlap gate."""

    radius_arcsec: float = setting(
        LS_DR10.exclude_arcsec,
        "minimum distance of negatives from any positive, arcsec",
        least=0,
        of=lambda survey: survey.exclude_arcsec,
    )


@gate(GATE, inputs="MANIFEST, or POSITIVES NEGATIVES", settings=Settings)
def overlap(inputs: Inputs, limits: Settings) -> Iterator[Check]:
    """No galaxy is both positive and negative, by id or by its place on the sky."""
    positives, negatives = _classes(inputs)
    yield checks.some(GATE, "positives", positives.num_rows)
    yield checks.some(GATE, "negatives", negatives.num_rows)
    if not (positives.num_rows and negatives.num_rows):
        return
    n = negatives.num_rows
    ids = texts(positives, "galaxy_id"), texts(negatives, "galaxy_id")
    yield checks.none(GATE, "no id is positive and negative", np.intersect1d(*ids), n)

    (ra1, dec1), (ra2, dec2) = ((numbers(table, "ra"), numbers(table, "dec")) for table in (positives, negatives))
    i, j, sep = geometry.pairs_within(ra1, dec1, ra2, dec2, limits.radius_arcsec)
    near, first = np.unique(j, return_index=True)
    shown = [
        f"{ids[1][negative]} is {sep[k]:.2f} arcsec from {ids[0][i[k]]}"
        for negative, k in zip(near[: checks.OFFENDERS_SHOWN], first[: checks.OFFENDERS_SHOWN], strict=True)
    ]
    yield checks.none(GATE, f"no negative within {limits.radius_arcsec:g} arcsec of a positive", shown, n, len(near))
    if len(inputs.tables) == 1:
        yield _shared_sky(positives, negatives, inputs)


def _shared_sky(positives: pa.Table, negatives: pa.Table, inputs: Inputs) -> Check:
    """Check that no cutout of a negative overlaps a positive's of another split, each of the size of its class.

    Sizes are those that the manifest recorded, else the survey's. Before there is a manifest this is not checked:
    making one leaves such negatives out.
    """
    schema.require(inputs.manifest, "split", where=inputs.path)
    own, other = (inputs.cutout_arcsec.get(label, inputs.survey.cutout_arcsec) for label in (POSITIVE, NEGATIVE))
    (ra1, dec1), (ra2, dec2) = ((numbers(table, "ra"), numbers(table, "dec")) for table in (positives, negatives))
    touching = np.sqrt(2.0) * 1.01 * (own + other) / 2  # at a corner
    i, j, _ = geometry.pairs_within(ra1, dec1, ra2, dec2, touching)
    shared = geometry.boxes_overlap(ra1[i], dec1[i], ra2[j], dec2[j], own, other)
    split1, split2 = (texts(table, "split") for table in (positives, negatives))
    shared &= split1[i] != split2[j]
    wrong, first = np.unique(j[shared], return_index=True)
    lens = i[shared][first]
    ids1, ids2 = (texts(table, "galaxy_id") for table in (positives, negatives))
    shown = [
        f"{ids2[b]} ({split2[b]}) and {ids1[a]} ({split1[a]}), cutouts of {other:g} and {own:g} arcsec"
        for a, b in zip(lens[: checks.OFFENDERS_SHOWN], wrong[: checks.OFFENDERS_SHOWN], strict=True)
    ]
    check = "no negative shares sky with a positive of another split"
    return checks.none(GATE, check, shown, negatives.num_rows, len(wrong))


def _classes(inputs: Inputs) -> tuple[pa.Table, pa.Table]:
    import pyarrow as pa

    for name, table in inputs.named_tables():
        schema.require(table, "galaxy_id", "ra", "dec", where=name)
        schema.refuse_bad_positions(table, name)
    if len(inputs.tables) == 2:
        return inputs.tables[0], inputs.tables[1]
    if len(inputs.tables) != 1:
        raise InputError(f"gate overlap takes one manifest or two tables, not {len(inputs.tables)}", "see --help")
    schema.require(inputs.manifest, "label", where=inputs.path)
    label = labels_of(inputs.manifest)
    positives, negatives = (inputs.manifest.filter(pa.array(label == value)) for value in (POSITIVE, NEGATIVE))
    return positives, negatives
