"""Tables and their cutouts, joined to one manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.astro import brick_names
from lensctl.io.cutouts.by_manifest import refuse_other_places
from lensctl.manifest.shared_sky import one_row_per_object, without_shared_sky
from lensctl.rules import schema
from lensctl.rules.derived import UNIFORM
from lensctl.rules.errors import InputError
from lensctl.rules.sampling_rule import SEED
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa

MINED = "mined"


def columns_of(survey: Survey) -> tuple[str, ...]:
    """Columns of a manifest, in order."""
    place = ("galaxy_id", "cutout_path", "cutout_index", "label", "sample_weight", "split", "tier")
    stratum = ("type", survey.nobs_bin, "healpix_128", "ra", "dec", "confuser_category")
    measured = (
        survey.depth("psfsize"),
        survey.depth("psfdepth"),
        survey.detection_flux,
        survey.depth("flux"),
        *survey.colour_columns,
        survey.depth("nobs"),
    )
    others = ("sampling_weight", "cutout_ok", "status", "ref", "cutout_sha256")
    return tuple(dict.fromkeys((*place, *stratum, *measured, *others)))


@dataclass(frozen=True)
class Manifest:
    """The rows, sorted by galaxy_id, and the number left out, by reason."""

    rows: pa.Table
    left_out: Counter[str]


def join(
    positives: pa.Table,
    positive_cutouts: pa.Table,
    negatives: pa.Table,
    negative_cutouts: pa.Table,
    *,
    survey: Survey = LS_DR10,
    keep_unstratified: bool = False,
    sizes_arcsec: tuple[float, float] | None = None,
    seed: int = SEED,
) -> Manifest:
    """Join tables and cutouts into one manifest.

    Parameters
    ----------
    positives, negatives : pa.Table
        Made by `crossmatch` and `sample`.
    positive_cutouts, negative_cutouts : pa.Table
        galaxy_id, ra, dec, cutout_path, cutout_index, cutout_ok, status, cutout_sha256 of each cutout.
    survey : Survey
    keep_unstratified : bool
        Keep positives of a type or bin of exposures without negatives. By default they are left out, because the type
        alone would reveal a lens.
    sizes_arcsec : (float, float), optional
        Side of the cutouts of positives and of negatives; default the survey's. If two cutouts of different splits
        overlap, one is dropped: the negative, or tier B rather than tier A, or the one whose galaxy_id comes later.
    seed : int
        Of the sampling order. Of rows within 1 arcsec of each other one is kept: a lens, tier A before B, else the
        first in the sampling order. A kept lens gets the `ref` of the lenses it stands for, too.

    Raises
    ------
    InputError
        Missing columns, null splits, an id that is both positive and negative, cutouts missing or of another place.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    left_out: Counter[str] = Counter()
    strata = (survey.nobs_bin, "type")
    needed = ("galaxy_id", "ra", "dec", *strata, survey.depth("nobs"), "healpix_128", "split")
    for name, table in (("positives", positives), ("negatives", negatives)):
        schema.require(table, *needed, where=name, survey=survey)
        schema.refuse_nulls(table, "galaxy_id", "split", "healpix_128", where=name)
        schema.refuse_bad_positions(table, name)
        brick_names.refuse_far(table, name, survey)
        schema.refuse_duplicates(table, where=name)
    schema.require(positives, "tier", "sample_weight", where="positives")
    schema.require(negatives, "pool", where="negatives")
    names = columns_of(survey)
    if MINED in negatives.column_names:
        names = (*names, MINED)
        _refuse_mined_outside_train(negatives)
    both = positives.filter(pc.is_in(positives["galaxy_id"], negatives["galaxy_id"]))["galaxy_id"]
    if len(both):
        raise InputError(
            f"{len(both)} galaxies are both positives and negatives, such as {both[0].as_py()}",
            "rerun sample with --positives and every --lenses catalogue",
        )
    positives, negatives = one_row_per_object(positives, negatives, seed, left_out)
    if not keep_unstratified:
        known = set(zip(*(negatives[name].to_pylist() for name in strata), strict=True))
        kept = [row in known for row in zip(*(positives[name].to_pylist() for name in strata), strict=True)]
        left_out["positives without a negative stratum"] = kept.count(False)
        positives = positives.filter(pa.array(kept))
    rows = pa.concat_tables(
        [
            _labelled(
                positives,
                positive_cutouts,
                1,
                positives["tier"],
                positives["sample_weight"],
                "positives",
                survey,
                names,
            ),
            _labelled(
                negatives,
                negative_cutouts,
                0,
                _tier_of(negatives),
                pa.array([1.0] * negatives.num_rows, pa.float64()),
                "negatives",
                survey,
                names,
            ),
        ]
    ).sort_by("galaxy_id")
    kept = without_shared_sky(rows, sizes_arcsec or (survey.cutout_arcsec, survey.cutout_arcsec), left_out)
    return Manifest(rows.filter(pa.array(kept)), left_out)


def _tier_of(negatives: pa.Table) -> pa.ChunkedArray:
    """The pool of each negative, or N0 of a uniform draw."""
    import pyarrow.compute as pc

    if "tier" not in negatives.column_names:
        return negatives["pool"]
    is_uniform = pc.fill_null(pc.equal(negatives["tier"], UNIFORM), False)
    return pc.if_else(is_uniform, UNIFORM, negatives["pool"])


def _refuse_mined_outside_train(negatives: pa.Table) -> None:
    import pyarrow.compute as pc

    leaks = negatives.filter(pc.and_(pc.is_valid(negatives[MINED]), pc.not_equal(negatives["split"], "train")))
    if leaks.num_rows:
        raise InputError(
            f"{leaks.num_rows} hard negatives are not of split train, such as {leaks['galaxy_id'][0].as_py()}",
            "draw them with `lensctl sample --hard`",
        )


def _labelled(
    table: pa.Table,
    cutouts: pa.Table,
    label: int,
    tier: pa.ChunkedArray,
    weight: pa.ChunkedArray,
    where: str,
    survey: Survey,
    names: tuple[str, ...],
) -> pa.Table:
    """Columns of one class: those of the table and of the cutouts, null where missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    position = pc.index_in(table["galaxy_id"], cutouts["galaxy_id"])
    if position.null_count:
        missing = table["galaxy_id"].filter(pc.is_null(position))
        raise InputError(
            f"{where}: {len(missing)} rows have no cutout, such as {missing[0].as_py()}",
            "name the store that was cut from this table",
        )
    cut = cutouts.take(position)
    refuse_other_places(table["galaxy_id"].to_pylist(), table, cut, f"{where} and their cutouts")
    given = {
        "label": pa.array([label] * table.num_rows, pa.int8()),
        "tier": tier,
        "sample_weight": weight,
        **{name: cut[name] for name in ("cutout_path", "cutout_index", "cutout_ok", "status", "cutout_sha256")},
    }
    columns = {}
    for name in names:
        wanted = schema.arrow_type(name, survey)
        if name in given:
            columns[name] = given[name].cast(wanted)
        elif name in table.column_names:
            columns[name] = table[name].cast(wanted)
        else:
            columns[name] = pa.nulls(table.num_rows, wanted)
    return pa.table(columns)
