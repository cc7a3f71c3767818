"""False discoveries of a search, from scored galaxies that are not lenses and that the model has not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro import geometry
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, chain_of, common_survey, step_input
from lensctl.io.tables.files import read_table
from lensctl.rules import derived, schema
from lensctl.rules.errors import InputError
from lensctl.rules.split import healpix
from lensctl.rules.survey import Survey
from lensctl.stats import false_discovery as fdr
from lensctl.stats.false_discovery import FalseDiscovery, Groups, Null

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.search.known import KnownLenses
    from lensctl.search.training import Training

NEEDED = ("galaxy_id", "ra", "dec", "logit", "confuser_category", "sampling_weight")
TARGETS = (0.05, 0.1)
"""q-values for which it is told how many candidates reach them, and how many are needed at least."""
Q_COLUMNS = (fdr.RANDOM, fdr.LOOKALIKE, fdr.CLASSES)
SCORE_IT = "score a draw of `lensctl sample --uniform N --where \"split = 'test'\"` with this model"


@dataclass(frozen=True)
class Drawn:
    """What one table of the null is: its file, rows with a score, rows without, rows labelled as lenses, condition."""

    name: str
    rows: int
    unscored: int
    lenses_left_out: int
    where: str | None
    criteria: dict[str, str] | None

    def as_dict(self) -> dict[str, Any]:
        """For search.json."""
        return dict(vars(self))


@dataclass(frozen=True)
class GivenNull:
    """The null of a search.

    Attributes
    ----------
    grouped_by : tuple of str
        Columns, flux and PSF in the depth band, by which null and searched galaxies are divided into groups.
    """

    null: Null
    groups: Groups
    grouped_by: tuple[str, ...]
    drawn: tuple[Drawn, ...]


class Searched:
    """Scored galaxies by group of the null, counted part by part of the sky."""

    def __init__(self, given: GivenNull, survey: Survey) -> None:
        self._given, self._survey = given, survey
        self.counts = np.zeros(len(given.groups))

    def add(self, rows: pa.Table) -> None:
        """Add rows with a score."""
        values = values_of(rows, self._given.grouped_by, self._survey)
        self.counts += np.bincount(self._given.groups.of(*values), minlength=len(self.counts))


def read_null(
    paths: Sequence[str],
    *,
    model_digest: str,
    training: Training,
    lenses: KnownLenses | None,
    criteria: dict[str, str],
    columns: Collection[str],
) -> tuple[GivenNull, tuple[Input, ...], tuple[Chain, ...]]:
    """The null of some tables of scores, the tables as inputs of a step, and their provenance.

    Parameters
    ----------
    model_digest : str
        Of the model that searches.
    lenses : KnownLenses, optional
        No null galaxy may lie near one.
    criteria : dict
        Of the search; a null from a pool of others is no null of what is searched.
    columns : collection of str
        Of the tables searched: null galaxies are grouped by what both have.

    Raises
    ------
    InputError
        Columns or weights missing, another survey or model, other criteria, rows that the model may know, rows near a
        lens, no row with a score.
    """
    survey = training.survey
    by = [f"flux_{survey.depth_band}", survey.depth("psfsize")]
    tables, drawn, inputs, chains = [], [], [], []
    for path in paths:
        table = read_table(path)
        chain = chain_of(table, path)
        rows, said = _checked(table, path, chain, model_digest, training, lenses, criteria)
        tables.append(rows)
        drawn.append(said)
        chains.append(chain)
        inputs.append(step_input("null", path, digests.of_table(table), chain))
        by = [name for name in by if name in rows.column_names and name in columns]
    given = _null_of(tables, tuple(by), tuple(drawn), survey)
    return given, tuple(inputs), tuple(chains)


def _checked(
    table: pa.Table,
    where: str,
    chain: Chain,
    model_digest: str,
    training: Training,
    lenses: KnownLenses | None,
    criteria: dict[str, str],
) -> tuple[pa.Table, Drawn]:
    """The rows of a table that are null galaxies with a score; InputError if it holds others than it should."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lensctl.learning.data import held_out

    survey = common_survey(training.survey, chain)
    schema.require(table, *NEEDED, where=where, survey=survey)
    schema.refuse_nulls(table, "galaxy_id", where=where)
    schema.refuse_duplicates(table, where=where)
    schema.require_numbers(table, "logit", where=where)
    schema.refuse_bad_positions(table, where)
    made_by = held_out.model_of(chain)
    if made_by != model_digest:
        known = "no model that is known" if made_by is None else f"another model ({made_by[:19]}…)"
        raise InputError(f"{where}: the scores are of {known}, not of the one that searches", SCORE_IT)
    own = held_out.criteria_of_pool(chain)
    if own is not None and own != criteria:
        raise InputError(
            f"{where}: drawn from a pool of {_text(own)}, and what is searched is {_text(criteria)}",
            "search by the pool's --criteria, or draw the null from a pool made by those of the search",
        )
    rows = table.filter(pc.invert(held_out.labelled_lens(table, where)))
    ra, dec = (np.asarray(rows[axis].cast("double").to_numpy(), np.float64) for axis in ("ra", "dec"))
    split = training.splits(healpix(ra, dec))
    known_ids = np.array([training.ids.get(id) is not None for id in rows["galaxy_id"].to_pylist()], bool)
    refused = {f"of split {name} by the split rule": split == name for name in ("train", "val")}
    refused["of train or val of a manifest"] = known_ids
    if lenses is not None and len(lenses):
        near = geometry.Neighbourhood(lenses.ra, lenses.dec, survey.exclude_arcsec).holds(ra, dec)
        refused[f"within {survey.exclude_arcsec:g} arcsec of a known lens"] = near
    held_out.refuse_known(refused, rows.num_rows, where)
    scored = rows.filter(pc.fill_null(pc.is_finite(rows["logit"].cast("double")), False))
    weight = scored["sampling_weight"].cast("double")
    if not scored.num_rows:
        raise InputError(f"{where}: no row that is no lens has a score", SCORE_IT)
    positive = pc.fill_null(pc.and_(pc.is_finite(weight), pc.greater(weight, 0)), False)
    if not pc.all(positive).as_py():
        row = pc.index(positive.combine_chunks(), pa.scalar(False)).as_py()
        id = scored["galaxy_id"][row].as_py()
        raise InputError(f"{where}: sampling_weight of {id} is not positive", SCORE_IT)
    return scored, Drawn(
        where.rpartition("/")[2],
        scored.num_rows,
        rows.num_rows - scored.num_rows,
        table.num_rows - rows.num_rows,
        held_out.condition_of_draw(chain),
        own,
    )


def _text(criteria: dict[str, str]) -> str:
    return f"galaxies with {', '.join(criteria.values())}" if criteria else "every galaxy of its tables"


def _null_of(tables: Sequence[pa.Table], by: tuple[str, ...], drawn: tuple[Drawn, ...], survey: Survey) -> GivenNull:
    """All tables as one null; a galaxy of two draws stands for those of both."""
    kinds = {"galaxy_id": "string", "logit": "double", "confuser_category": "string", "sampling_weight": "double"}
    columns = {name: np.concatenate([_array(t, name, kind) for t in tables]) for name, kind in kinds.items()}
    values = [np.concatenate(each) for each in zip(*(values_of(t, by, survey) for t in tables), strict=True)]
    _, first, which = np.unique(columns["galaxy_id"], return_index=True, return_inverse=True)
    weight = np.bincount(which, columns["sampling_weight"].astype(np.float64)).astype(np.float64)
    magnitude, psf_arcsec = (each[first] for each in values)
    groups = fdr.groups_of(magnitude, psf_arcsec)
    null = Null(
        columns["logit"].astype(np.float64)[first],
        columns["confuser_category"][first].astype(str),
        weight,
        groups.of(magnitude, psf_arcsec),
    )
    return GivenNull(null, groups, by, drawn)


def _array(table: pa.Table, name: str, kind: str) -> NDArray[Any]:
    column = table[name].cast(kind)
    if kind == "string":
        return np.array(column.fill_null(fdr.NO_CLASS).to_pylist(), object)
    return np.asarray(column.to_numpy(), np.float64)


def values_of(rows: pa.Table, by: Collection[str], survey: Survey) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Magnitude and PSF (arcsec) of rows, (N,) each: 0 where there are no groups by it, NaN where it is not known."""
    flux, psf = f"flux_{survey.depth_band}", survey.depth("psfsize")

    def column(name: str) -> NDArray[np.float64]:
        return np.asarray(rows[name].cast("double").fill_null(np.nan).to_numpy(), np.float64)

    nothing = np.zeros(rows.num_rows)
    magnitude = derived.magnitude(column(flux)).astype(np.float64) if flux in by else nothing
    return magnitude, column(psf) if psf in by else nothing


def with_q(
    candidates: pa.Table, given: GivenNull | None, searched: Searched | None
) -> tuple[pa.Table, dict[str, Any] | None]:
    """Candidates with q_random, q_lookalike and q_classes, and what search.json tells of them, if there is a null.

    A known lens is no discovery: it has no q-value, and does not count among the candidates of a list.

    Parameters
    ----------
    candidates : pa.Table
        Every candidate with its final logit and `known_lens`.
    """
    import pyarrow as pa

    if given is None or searched is None:
        return candidates, None
    new = np.array([name is None for name in candidates["known_lens"].to_pylist()], bool)
    logit = np.asarray(candidates["logit"].to_numpy(), np.float64)[new]
    found = fdr.false_discovery(logit, fdr.estimated_counts(searched.counts, given.null), given.null)
    after = candidates.column_names.index("p") + 1
    for place, name in enumerate(Q_COLUMNS, after):
        values = np.full(len(new), np.nan)
        values[new] = found.q[name]
        candidates = candidates.add_column(place, name, pa.array(values, pa.float64(), mask=~new))
    return candidates, _told(given, searched, found, len(logit))


def _told(given: GivenNull, searched: Searched, found: FalseDiscovery, candidates: int) -> dict[str, Any]:
    classes = Counter(given.null.category.tolist())
    return {
        "null": {
            "rows": len(given.null.logit),
            "classes": {name or "none": count for name, count in sorted(classes.items())},
            "grouped_by": list(given.grouped_by),
            "drawn": [each.as_dict() for each in given.drawn],
        },
        "searched": int(searched.counts.sum()),
        "candidates": candidates,
        "estimates": [
            {
                "name": name,
                "smallest_q": found.smallest(candidates, name),
                "unlike": found.unlike[name],
                "reached": [
                    {
                        "q": target,
                        "candidates": int((found.q[name] <= target).sum()),
                        "at_least": found.fewest_candidates(target, name),
                    }
                    for target in TARGETS
                ],
            }
            for name in Q_COLUMNS
        ],
    }
