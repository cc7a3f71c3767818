"""Pictures of injections that were found and missed: the host without the arcs, the arcs alone, and both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.injection.into_cutouts import ARCS, ARCS_KEPT
from lensctl.io.cutouts.store import Store, open_store
from lensctl.io.html.pictures import colour_pictures
from lensctl.io.provenance.steps import step_input
from lensctl.rules import schema
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Input
    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]

SHOWN, SURPRISES = 12, 6
"""Most pictures of those found and of those missed, and of those missed where p_det is greatest."""

SAME = ("theta_e", "lens_phi", "source_x", "source_y", "source_phi", "magnification")
"""Columns by which two injections of one name are known to be of one draw."""

HOST_ALONE, ARCS_ALONE, BOTH = "host alone", "arcs alone", "both"


@dataclass(frozen=True)
class Pictured:
    """Injections of a table whose pixels are in a store.

    Attributes
    ----------
    store : Store
    place : (N,) int64
        Row of each injection in the store, -1 where it is not there, or not to be shown.
    """

    store: Store
    place: NDArray[np.int64]

    @property
    def has_arcs(self) -> bool:
        """Whether the arcs alone of the rows shown are in the store."""
        return ARCS in self.store.layout.planes

    @property
    def source(self) -> Input:
        """For the provenance of what shows them."""
        return step_input("pictures", self.store.path, self.store.digest, self.store.chain)


def pictured(path: str, injections: pa.Table, survey: Survey) -> Pictured:
    """The injections of a table in a store of `inject`, whose arcs were kept where it has them alone.

    Raises
    ------
    InputError
        No such store; one of controls or variations, of another survey's bands, of other injections, or of the same
        names with other parameters.
    """
    store = open_store(path)
    store.refuse_other_survey()
    if store.bands != survey.bands:
        raise InputError(f"{path}: bands are {', '.join(store.bands)}", f"make it of {', '.join(survey.bands)}")
    index = store.index
    schema.require(index, "galaxy_id", "control", "vary", *SAME, where=path)
    for name in ("control", "vary"):
        words = sorted({str(word) for word in index[name].to_pylist()} - {""})
        if words:
            raise InputError(f"{path}: its rows are of {name} {words[0]}, no plain injections", "inject without it")
    known = {id: row for row, id in enumerate(index["galaxy_id"].to_pylist())}
    place = np.array([known.get(id, -1) for id in injections["galaxy_id"].to_pylist()], np.int64)
    if ARCS in store.layout.planes:
        place[place >= ARCS_KEPT] = -1
    rows = np.flatnonzero(place >= 0)
    if not len(rows):
        raise InputError(
            f"{path}: none of its injections is in the tables", "inject into the same hosts; `--per-host 1` is enough"
        )
    for name in (name for name in SAME if name in injections.column_names):
        schema.require_numbers(index, name, where=path)
        schema.require_numbers(injections, name, where="the injections")
        here, there = _numbers(injections, name)[rows], _numbers(index, name)[place[rows]]
        if not np.allclose(here, there, rtol=1e-6, atol=1e-9, equal_nan=True):
            raise InputError(
                f"{path}: {name} of its injections is not that of the tables", "inject with the same seed and design"
            )
    return Pictured(store, place)


def _numbers(table: pa.Table, name: str) -> Floats:
    return np.asarray(table[name].to_numpy(), np.float64)


def chosen(detected: NDArray[np.bool_], p: Floats, magnitude: Floats, shown: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Rows to show by what they show: found and missed ones from bright to faint, and those missed against p_det.

    Parameters
    ----------
    detected, p, magnitude, shown : (N,)
        Whether an injection was detected, its p_det, the magnitude of its arcs, and whether there are pixels of it.
    """
    bright_first = np.argsort(magnitude, kind="stable")
    found = {}
    for name, which in (("found", detected), ("missed", ~detected)):
        rows = bright_first[(which & shown)[bright_first]]
        found[name] = rows[np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).astype(int))].tolist()
    missed = np.flatnonzero(~detected & shown)
    likely = missed[np.argsort(-p[missed], kind="stable")][:SURPRISES]
    return found | {"missed where p_det is greatest": likely.tolist()}


def cards(
    source: Pictured, rows: Sequence[int], columns: Mapping[str, Sequence[Any]], survey: Survey
) -> list[dict[str, Any]]:
    """What the card of each injection shows: values of the columns by name, and `pictures`, (name, data URI) each."""
    place = source.place[list(rows)]
    images = source.store.read(place)
    planes = {BOTH: images}
    if source.has_arcs and len(place):
        arcs = source.store.read_plane_rows(ARCS, place)
        planes = {HOST_ALONE: images - arcs, ARCS_ALONE: arcs, BOTH: images}
    drawn = {name: colour_pictures(each.__getitem__, np.arange(len(each)), survey) for name, each in planes.items()}
    return [
        {
            **{name: column[row] for name, column in columns.items()},
            "pictures": [(name, uris[i]) for name, uris in drawn.items()],
        }
        for i, row in enumerate(rows)
    ]
