"""The scored rows of a uniform draw; refused are another draw, another model, rows it knows, rows near a lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import geometry
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of, common_survey, step_input
from lensctl.io.tables import lens_catalogs
from lensctl.io.tables.files import read_table
from lensctl.learning.data import held_out
from lensctl.learning.data.held_out import DRAW
from lensctl.rules import schema, split
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain, Input
    from lensctl.rules.survey import Survey

NEEDED = ("galaxy_id", "ra", "dec", "logit")
HELD_OUT = "test"


@dataclass(frozen=True)
class Extra:
    """Another input: the lens catalogues and the manifest that rows are held against."""

    source: Input
    chain: Chain


@dataclass(frozen=True)
class UniformScores:
    """Scores of a uniform draw as given, and what its rows must not be.

    Attributes
    ----------
    lenses : (ra, dec)
        Of lens catalogues, degrees.
    trained_on : pa.ChunkedArray, optional
        Ids of the train and val rows of a manifest.
    """

    table: pa.Table
    source: Input
    chain: Chain
    lenses: tuple[NDArray[np.float64], NDArray[np.float64]]
    trained_on: pa.ChunkedArray | None
    extras: tuple[Extra, ...]


@dataclass(frozen=True)
class Uniform:
    """Rows of a uniform draw with a score.

    Attributes
    ----------
    galaxy_id : (N,) pa.ChunkedArray of text
    logit : (N,) float64
    pixel : (N,) int64
        HEALPix, nside 128.
    category : (N,) text, optional
        Confuser class, empty where a row has none; None where the scores do not say.
    weight : float, optional
        Number of galaxies that each row stands for.
    unscored, lenses_left_out : int
        Rows without a score, and rows of the table that are labelled as lenses.
    """

    galaxy_id: pa.ChunkedArray
    logit: NDArray[np.float64]
    pixel: NDArray[np.int64]
    category: NDArray[np.str_] | None
    weight: float | None
    unscored: int
    lenses_left_out: int
    survey: Survey
    source: Input

    def __len__(self) -> int:
        return len(self.logit)

    def where(self, kept: NDArray[np.bool_]) -> Uniform:
        """The rows where the mask is True."""
        import pyarrow as pa

        return replace(
            self,
            galaxy_id=self.galaxy_id.filter(pa.array(kept)),
            logit=self.logit[kept],
            pixel=self.pixel[kept],
            category=None if self.category is None else self.category[kept],
        )


def read_uniform(path: str, lenses: Sequence[str] = (), manifest: str | None = None) -> UniformScores:
    """Read scores of a uniform draw, lens catalogues, and the manifest that the model was trained on."""
    import pyarrow.compute as pc

    table = read_table(path)
    chain = chain_of(table, path)
    catalogs, sources = lens_catalogs.positions(lenses)
    extras = [Extra(source, ()) for source in sources]
    trained_on = None
    if manifest is not None:
        rows = read_table(manifest)
        schema.require(rows, "galaxy_id", "split", where=manifest)
        of = chain_of(rows, manifest)
        extras.append(Extra(step_input("manifest", manifest, digests.of_table(rows), of), of))
        trained_on = rows.filter(pc.not_equal(rows["split"], HELD_OUT))["galaxy_id"].cast("string")
    source = step_input("negatives", path, digests.of_table(table), chain)
    return UniformScores(table, source, chain, catalogs.every, trained_on, tuple(extras))


def uniform_of(given: UniformScores, lenses: pa.Table, survey: Survey, chain: Chain) -> Uniform:
    """The rows of a uniform draw as arrays, by the model and survey of other scores.

    Parameters
    ----------
    given : UniformScores
    lenses : pa.Table
        Lenses of the other scores: no row may lie near one, where they have ra and dec.
    survey : Survey
    chain : Chain
        Provenance of the other scores.

    Raises
    ------
    InputError
        Missing columns, duplicate ids, positions that are none, scores of another model or survey, no uniform draw, or
        rows that are of train or val, known to the model, or near a lens.
    """
    import pyarrow.compute as pc

    where, table = given.source.name, given.table
    survey = common_survey(survey, given.chain)
    schema.require(table, *NEEDED, where=where, survey=survey)
    schema.refuse_nulls(table, "galaxy_id", where=where)
    schema.refuse_duplicates(table, where=where)
    schema.require_numbers(table, "logit", where=where)
    schema.refuse_bad_positions(table, where)
    held_out.refuse_other_model(where, given.chain, chain)
    lens = held_out.labelled_lens(table, where)
    own = [_positions(table.filter(lens)), _positions(lenses)]
    rows = table.filter(pc.invert(lens))
    held_out.refuse_other_draw(rows, given.chain, where)
    ra, dec = _positions(rows)
    pixel = split.healpix(ra, dec)
    of_rule = held_out.splits_of_model(pixel, chain, survey)
    lens_ra, lens_dec = (np.concatenate(axis) for axis in zip(given.lenses, *own, strict=True))
    known = {f"of split {name} by the split rule": of_rule == name for name in ("train", "val")}
    if given.trained_on is not None:
        of_manifest = pc.is_in(rows["galaxy_id"].cast("string"), given.trained_on)
        known["of train or val of the manifest"] = np.asarray(of_manifest.to_numpy(), bool)
    if len(lens_ra):
        near = geometry.Neighbourhood(lens_ra, lens_dec, survey.exclude_arcsec).holds(ra, dec)
        known[f"within {survey.exclude_arcsec:g} arcsec of a lens"] = near
    held_out.refuse_known(known, rows.num_rows, where)
    finite = pc.fill_null(pc.is_finite(rows["logit"].cast("double")), False)
    if (broken := pc.sum(pc.and_(pc.is_valid(rows["logit"]), pc.invert(finite))).as_py() or 0) > 0:
        raise InputError(f"{where}: column 'logit' is not finite in {broken} rows", "score the draw again")
    kept = np.asarray(finite.to_numpy(zero_copy_only=False), bool)
    if not kept.any():
        raise InputError(f"{where}: no row has a score", "score the draw, and give its scores")
    judged = rows.filter(finite)
    return Uniform(
        galaxy_id=judged["galaxy_id"].cast("string"),
        logit=np.asarray(judged["logit"].cast("double").to_numpy(), np.float64),
        pixel=pixel[kept],
        category=_category(judged),
        weight=_weight(judged, where),
        unscored=int((~kept).sum()),
        lenses_left_out=table.num_rows - rows.num_rows,
        survey=survey,
        source=given.source,
    )


def _positions(table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ra, dec in degrees; none of a table without them, or where they are unknown."""
    if not {"ra", "dec"} <= set(table.column_names):
        return np.zeros(0), np.zeros(0)
    ra, dec = (np.asarray(table[axis].cast("double").to_numpy(), np.float64) for axis in ("ra", "dec"))
    known = np.isfinite(ra) & np.isfinite(dec)
    return ra[known], dec[known]


def _category(rows: pa.Table) -> NDArray[np.str_] | None:
    if "confuser_category" not in rows.column_names:
        return None
    named = rows["confuser_category"].cast("string").combine_chunks().dictionary_encode()
    names = np.array([*named.dictionary.to_pylist(), ""], str)
    return np.asarray(names[named.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)])


def _weight(rows: pa.Table, where: str) -> float | None:
    """The weight that every row has; InputError where they differ, as in two draws put together."""
    import pyarrow.compute as pc

    if "sampling_weight" not in rows.column_names:
        return None
    schema.refuse_nulls(rows, "sampling_weight", where=where)
    least, most = (float(v.as_py()) for v in pc.min_max(rows["sampling_weight"].cast("double")).values())
    if not 0 < least <= most <= least * (1 + 1e-9):
        raise InputError(
            f"{where}: sampling_weight is {least:g} to {most:g}, and the same for all rows of a uniform draw", DRAW
        )
    return least
