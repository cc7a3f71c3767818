"""The training manifest: every cutout with its label, weight, split and catalogue values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lensctl.astro import geometry
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa


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


def manifest(
    positives: pa.Table,
    positive_cutouts: pa.Table,
    negatives: pa.Table,
    negative_cutouts: pa.Table,
    *,
    survey: Survey = LS_DR10,
    keep_unstratified: bool = False,
    size_arcsec: float | None = None,
) -> Manifest:
    """Join tables and cutouts into one manifest.

    Parameters
    ----------
    positives, negatives : pa.Table
        Made by `crossmatch` and `sample`.
    positive_cutouts, negative_cutouts : pa.Table
        galaxy_id, cutout_path, cutout_index, cutout_ok, status, cutout_sha256 of each cutout.
    survey : Survey
    keep_unstratified : bool
        Keep positives of a type or bin of exposures without negatives. By default they are left out, because the type
        alone would reveal a lens.
    size_arcsec : float, optional
        Side of a cutout; default the survey's. If two cutouts of different splits overlap, one is dropped: the
        negative, or tier B rather than tier A, or the one whose galaxy_id comes later.

    Raises
    ------
    InputError
        Missing columns, null splits, an id that is both positive and negative, missing cutouts.
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
        schema.refuse_duplicates(table, where=name)
    schema.require(positives, "tier", "sample_weight", where="positives")
    schema.require(negatives, "pool", where="negatives")
    both = positives.filter(pc.is_in(positives["galaxy_id"], negatives["galaxy_id"]))["galaxy_id"]
    if len(both):
        raise InputError(
            f"{len(both)} galaxies are both positives and negatives, such as {both[0].as_py()}",
            "rerun sample with --positives and every --lenses catalogue",
        )
    if not keep_unstratified:
        known = set(zip(*(negatives[name].to_pylist() for name in strata), strict=True))
        kept = [row in known for row in zip(*(positives[name].to_pylist() for name in strata), strict=True)]
        left_out["positives without a negative stratum"] = kept.count(False)
        positives = positives.filter(pa.array(kept))
    rows = pa.concat_tables(
        [
            _labelled(
                positives, positive_cutouts, 1, positives["tier"], positives["sample_weight"], "positives", survey
            ),
            _labelled(
                negatives,
                negative_cutouts,
                0,
                negatives["pool"],
                pa.array([1.0] * negatives.num_rows, pa.float64()),
                "negatives",
                survey,
            ),
        ]
    ).sort_by("galaxy_id")
    kept = _without_shared_sky(rows, survey.cutout_arcsec if size_arcsec is None else size_arcsec, left_out)
    return Manifest(rows.filter(pa.array(kept)), left_out)


def _labelled(
    table: pa.Table,
    cutouts: pa.Table,
    label: int,
    tier: pa.ChunkedArray,
    weight: pa.ChunkedArray,
    where: str,
    survey: Survey,
) -> pa.Table:
    """The manifest's columns of one class: those of the table and of the cutouts, null where missing."""
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
    given = {
        "label": pa.array([label] * table.num_rows, pa.int8()),
        "tier": tier,
        "sample_weight": weight,
        **{name: cut[name] for name in ("cutout_path", "cutout_index", "cutout_ok", "status", "cutout_sha256")},
    }
    columns = {}
    for name in columns_of(survey):
        wanted = schema.arrow_type(name, survey)
        if name in given:
            columns[name] = given[name].cast(wanted)
        elif name in table.column_names:
            columns[name] = table[name].cast(wanted)
        else:
            columns[name] = pa.nulls(table.num_rows, wanted)
    return pa.table(columns)


def _without_shared_sky(rows: pa.Table, size_arcsec: float, left_out: Counter[str]) -> list[bool]:
    """Which rows to keep so that no two cutouts of different splits overlap."""
    first, second = geometry.overlapping_pairs(rows["ra"].to_numpy(), rows["dec"].to_numpy(), size_arcsec)
    splits = rows["split"].to_pylist()
    tiers = rows["tier"].to_pylist()
    rank = {"A": 0, "B": 1}
    kept = [True] * rows.num_rows
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        if splits[i] != splits[j] and kept[i] and kept[j]:
            loser = max((i, j), key=lambda row: (rank.get(tiers[row], 2), row))
            kept[loser] = False
            left_out[f"tier {tiers[loser]}, shares sky with another split"] += 1
    return kept
