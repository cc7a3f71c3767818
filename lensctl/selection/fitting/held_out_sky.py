"""Hosts lie where the model was never taught: on the frozen test split, with their whole cutout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.tables.files import read_table
from lensctl.learning.data.held_out import splits_of_model
from lensctl.rules import schema, split
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from lensctl.selection.fitting.frozen_model import FrozenModel
    from lensctl.selection.fitting.scored import Scored

TEST = "test"


def refuse_known_sky(hosts: Scored, model: FrozenModel) -> None:
    """Raise InputError for hosts outside the test split of the model, or whose cutout reaches out of it.

    By ra and dec and the rule of the split, whatever the table says of it.
    """
    table, survey = hosts.table, model.survey
    schema.refuse_bad_positions(table, where=hosts.where)
    ra, dec = (np.asarray(table[name].to_numpy(), np.float64) for name in ("ra", "dec"))
    ids = table["galaxy_id"].to_pylist()
    pixels = split.box_pixels(ra, dec, survey.cutout_arcsec)
    if (pixels[:, 0] != table["healpix_128"].to_numpy()).any():
        raise InputError(f"{hosts.where}: healpix_128 is not that of ra, dec", "take hosts of `lensctl hosts`")
    known = np.stack([splits_of_model(column, model.chain, survey) != TEST for column in pixels.T], axis=1)
    for wrong, what in (
        (known[:, 0], "lie outside the test split of the model"),
        (known.any(axis=1), "have a cutout that reaches sky of train or val"),
    ):
        if wrong.any():
            first = ids[int(np.argmax(wrong))]
            raise InputError(
                f"{hosts.where}: {int(wrong.sum())} of {len(ids)} hosts {what}, such as {first}",
                "take hosts of `lensctl hosts` from the pool that the model's split was made on",
            )


def refuse_taught(hosts: Scored, manifest: str, model: FrozenModel) -> None:
    """Raise InputError for hosts that a manifest has in train or val."""
    table = read_table(manifest)
    schema.require(table, "galaxy_id", "split", where=manifest, survey=model.survey)
    rows = zip(table["galaxy_id"].to_pylist(), table["split"].to_pylist(), strict=True)
    taught = {str(id) for id, part in rows if part != TEST}
    wrong = [id for id in hosts.table["galaxy_id"].to_pylist() if str(id) in taught]
    if wrong:
        raise InputError(
            f"{hosts.where}: {len(wrong)} hosts are in train or val of {manifest}, such as {wrong[0]}", "leave them out"
        )
