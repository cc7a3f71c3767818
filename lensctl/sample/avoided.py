"""Where no negative is drawn: positives and lens catalogues, as positions and as inputs of the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.astro.lens_units import Lenses
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Input, chain_of, step_input, survey_of
from lensctl.io.tables import lens_catalogs
from lensctl.io.tables.declared_types import conform
from lensctl.io.tables.files import read_table
from lensctl.rules import schema

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Positives:
    """The positives: their table, where it lies, the input they are, and where their lenses lie."""

    table: pa.Table
    path: str
    source: Input
    lenses: Lenses


@dataclass(frozen=True)
class Avoided:
    """Positions to stay away from: ra, dec in degrees, None if there are none; the catalogues' lenses; the inputs."""

    positions: pa.Table | None
    lenses: Lenses
    sources: tuple[Input, ...]


def read_positives(path: str) -> Positives:
    """Read positives; InputError for missing columns, or positions that are none."""
    read = read_table(path)
    wanted = conform(read, path, survey_of(chain_of(read, path)))
    schema.require(wanted, "ra", "dec", where=path)
    schema.refuse_bad_positions(wanted, where=path)
    own_lenses, _ = lens_catalogs.positions([path])
    return Positives(
        wanted, path, step_input("positives", path, digests.of_table(read), chain_of(read, path)), own_lenses
    )


def read_avoided(positives: Positives | None, catalogs: Sequence[str]) -> Avoided:
    """Read the lenses of catalogues, beside the positives and theirs."""
    import numpy as np
    import pyarrow as pa

    given, sources = lens_catalogs.positions(catalogs)
    places = [given.every]
    if positives is not None:
        own = positives.table["ra"].to_numpy(), positives.table["dec"].to_numpy()
        places = [own, positives.lenses.every, *places]
        sources = (positives.source, *sources)
    if positives is None and not catalogs:
        return Avoided(None, given, sources)
    axes = zip(("ra", "dec"), zip(*places, strict=True), strict=True)
    return Avoided(pa.table({axis: np.concatenate(values) for axis, values in axes}), given, sources)
