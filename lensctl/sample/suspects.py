"""Galaxies that no hard negative may be or lie near: lenses, candidates of a search, and what was graded A, B or C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.lens_units import Lenses
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, chain_of, step_input
from lensctl.io.tables import lens_catalogs
from lensctl.io.tables.files import read_table
from lensctl.io.tables.sql import Database
from lensctl.rules import schema
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

MAY_BE_LENSES = (*lens_catalogs.TIERS, "C")


@dataclass(frozen=True)
class Suspects:
    """What is avoided.

    Attributes
    ----------
    places : list of pa.Table
        ra, dec in degrees.
    ids : list of pa.ChunkedArray
        galaxy_id, text.
    graded : dict
        galaxy_id of graded galaxies whose place no file of grades tells, and which file has them.
    lenses : Lenses
        Of the catalogues alone.
    """

    places: list[pa.Table]
    ids: list[pa.ChunkedArray]
    graded: dict[str, str]
    lenses: Lenses
    sources: tuple[Input, ...]
    chains: tuple[Chain, ...]


def read_suspects(
    lenses: Sequence[str], grades: Sequence[str], candidates: Sequence[str], manifest: str | None
) -> Suspects:
    """Read catalogues, grades, candidates, and the manifest whose galaxies are not drawn again.

    Raises
    ------
    InputError
        No catalogue, or tables without their columns.
    """
    import pyarrow as pa

    if not lenses:
        raise InputError(
            "--hard needs --lenses: what a model scores highest are lenses", "name every lens catalogue, and grades"
        )
    given, sources = lens_catalogs.positions(lenses)
    ra, dec = given.every
    found = Suspects([pa.table({"ra": ra, "dec": dec})], [], {}, given, sources, ())
    for path in candidates:
        found = _with_candidates(found, path)
    for path in grades:
        found = _with_grades(found, path)
    if manifest is not None:
        table = read_table(manifest)
        schema.require(table, "galaxy_id", where=manifest)
        found.ids.append(table["galaxy_id"].cast("string"))
        found = _with_source(found, "manifest", manifest, table)
    return found


def _with_candidates(found: Suspects, path: str) -> Suspects:
    table = read_table(path, allow_empty=True)
    schema.require(table, "ra", "dec", where=path)
    schema.refuse_bad_positions(table, where=path)
    found.places.append(_places(table))
    if "galaxy_id" in table.column_names:
        found.ids.append(table["galaxy_id"].cast("string"))
    return _with_source(found, "candidates", path, table)


def _with_grades(found: Suspects, path: str) -> Suspects:
    """Galaxies graded A to C, at the place the file says; those without one are looked up by their id."""
    import pyarrow as pa

    graded = lens_catalogs.read_grades(path)
    lens = {name for name, grade in graded.of.items() if grade in MAY_BE_LENSES}
    found.ids.append(pa.chunked_array([pa.array(sorted(lens), pa.string())]))
    placed: set[str] = set()
    if {"ra", "dec"} <= set(graded.table.column_names):
        ids = graded.table["galaxy_id"].to_pylist()
        known = np.isfinite(_places(graded.table)["ra"].to_numpy() + _places(graded.table)["dec"].to_numpy())
        of_lens = np.array([str(name) in lens for name in ids], bool) & known
        at = graded.table.filter(pa.array(of_lens))
        schema.refuse_bad_positions(at, where=path)
        found.places.append(_places(at))
        placed = {str(name) for name in at["galaxy_id"].to_pylist()}
    found.graded.update(dict.fromkeys(sorted(lens - placed), path))
    return _with_source(found, "grades", path, graded.table)


def _places(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    axes = {
        axis: np.asarray(table[axis].cast("double").to_numpy(zero_copy_only=False), float) for axis in ("ra", "dec")
    }
    return pa.table(axes)


def _with_source(found: Suspects, role: str, path: str, table: pa.Table) -> Suspects:
    chain = chain_of(table, path)
    source = step_input(role, path, digests.of_table(table), chain)
    return Suspects(
        found.places, found.ids, found.graded, found.lenses, (*found.sources, source), (*found.chains, chain)
    )


def all_places(found: Suspects, database: Database) -> pa.Table:
    """Every position to stay away from: graded galaxies that no file placed are looked up in the pool.

    Raises InputError for those that are not there.
    """
    import pyarrow as pa

    places = list(found.places)
    if found.graded:
        database.register("graded", pa.table({"galaxy_id": pa.array(list(found.graded), pa.string())}))
        named = "SELECT CAST(galaxy_id AS VARCHAR) AS galaxy_id, ra, dec FROM pool"
        here = database.query(f"SELECT galaxy_id, ra, dec FROM ({named}) JOIN graded USING (galaxy_id)")
        missing = sorted(set(found.graded) - set(here["galaxy_id"].to_pylist()))
        if missing:
            raise InputError(
                f"{found.graded[missing[0]]}: {len(missing)} galaxies graded A to C have no place there or in the "
                f"pool, such as {missing[0]}",
                "add columns ra and dec to the grades",
            )
        places.append(_places(here))
    return pa.concat_tables(places)


def all_ids(found: Suspects) -> pa.Table:
    """Every id that is not drawn, once."""
    import pyarrow as pa

    chunks = [chunk for ids in found.ids for chunk in ids.chunks]
    return pa.table({"galaxy_id": pa.chunked_array(chunks, pa.string()).unique()})
