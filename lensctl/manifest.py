"""The training manifest: every cutout with its label, weight, split and catalogue values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.astro import brick_names, geometry
from lensctl.io.cutouts.by_manifest import refuse_other_places
from lensctl.io.cutouts.listing import SIDE, SIDES, CutoutListing, listing, refuse_other_bands
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Step, chain_of, common_survey, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.files import read_table, refuse_tables, write_table
from lensctl.rules import schema
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.errors import InputError
from lensctl.rules.sampling_rule import SAME_OBJECT_ARCSEC, SEED, order_key
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import pyarrow as pa

SAME_OBJECT = f"same object as another row, within {SAME_OBJECT_ARCSEC:g} arcsec"


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
    output: str | Path,
    *,
    positives: tuple[str | Path, str | Path],
    negatives: tuple[str | Path, str | Path],
    keep_unstratified: bool = False,
    max_empty: float = MAX_EMPTY,
    survey: Survey | str | None = None,
    root: str | Path | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Write the training manifest of positives, negatives and their cutouts.

    Parameters
    ----------
    output : path
        Table to write; `-` is stdout.
    positives, negatives : (table, store)
        Made by `crossmatch` and `sample`, and the store or folder of .npz with their cutouts.
    keep_unstratified : bool
        Keep positives of a stratum without negatives.
    max_empty : float
        Greatest fraction of empty inner pixels in any band of a usable .npz; a store has judged its cutouts.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    root : path, optional
        Folder that `cutout_path` is relative to; default that of the output.

    Returns
    -------
    Receipt
        With rows, positives, negatives, rows left out, those of them that are an object under another id, and cutouts
        that cannot be used.

    Raises
    ------
    InputError
        See `join`; an existing output, no root for an output without a folder, inputs of two surveys, cutouts of other
        bands.
    """
    output = str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    if root is None and (output == "-" or is_s3(output)):
        raise InputError("a manifest on stdout or S3 has no folder for relative paths", "add --root FOLDER")
    folder = root or Path(output).absolute().parent
    tables, listings, chains, inputs = [], [], [], []
    for role, pair in (("positives", positives), ("negatives", negatives)):
        table_path, store_path = map(str, pair)
        table = read_table(table_path)
        cutouts = listing(store_path, folder, max_empty)
        tables.append(table)
        listings.append(cutouts)
        chain = chain_of(table, table_path)
        chains += [chain, cutouts.chain]
        inputs.append(step_input(role, table_path, digests.of_table(table), chain))
        inputs.append(step_input(f"{role} cutouts", store_path, cutouts.digest, cutouts.chain))
    of = common_survey(survey, *chains)
    for cutouts, (_, store) in zip(listings, (positives, negatives), strict=True):
        refuse_other_bands(cutouts.bands, store, of)
        if not cutouts.knows_empty:
            report.say(
                f"warning: {store} does not say which cutouts are half empty, as an earlier version made it: "
                "`lensctl gate pixels` measures them"
            )
    sizes = [_sizes(cutouts) for cutouts in listings]
    if sizes[0] != sizes[1]:
        report.say(
            f"warning: positives were cut at {sizes[0]}, negatives at {sizes[1]}: a network can tell them apart by "
            "that, and `lensctl gate homogeneity` fails"
        )
    sides = (listings[0].side_arcsec(of), listings[1].side_arcsec(of))
    joined = join(
        tables[0],
        listings[0].rows,
        tables[1],
        listings[1].rows,
        survey=of,
        keep_unstratified=keep_unstratified,
        sizes_arcsec=sides,
        seed=_sampling_seed(chains[2]),
    )
    for reason, count in sorted(joined.left_out.items()):
        report.say(f"left out: {count:,} {reason}")
    by_class = {"positives": round(sides[0], 6), "negatives": round(sides[1], 6)}
    judged = {"keep_unstratified": keep_unstratified, "max_empty": max_empty}
    parameters = {**judged, SIDE: max(by_class.values()), SIDES: by_class}
    step = Step("manifest", parameters, tuple(inputs), survey=of)
    write_table(stamp(joined.rows, extend(step, *chains)), output, overwrite=overwrite, format=format)
    labels = joined.rows["label"].to_pylist()
    return {
        "command": "manifest",
        "output": output,
        "rows": len(labels),
        "positives": sum(labels),
        "negatives": len(labels) - sum(labels),
        "left_out": sum(joined.left_out.values()),
        "same_object": sum(count for reason, count in joined.left_out.items() if reason.endswith(SAME_OBJECT)),
        "cutouts_not_ok": joined.rows["cutout_ok"].to_pylist().count(False),
    }


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
    both = positives.filter(pc.is_in(positives["galaxy_id"], negatives["galaxy_id"]))["galaxy_id"]
    if len(both):
        raise InputError(
            f"{len(both)} galaxies are both positives and negatives, such as {both[0].as_py()}",
            "rerun sample with --positives and every --lenses catalogue",
        )
    positives, negatives = _one_row_per_object(positives, negatives, seed, left_out)
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
    kept = _without_shared_sky(rows, sizes_arcsec or (survey.cutout_arcsec, survey.cutout_arcsec), left_out)
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
    refuse_other_places(table["galaxy_id"].to_pylist(), table, cut, f"{where} and their cutouts")
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


def _one_row_per_object(
    positives: pa.Table, negatives: pa.Table, seed: int, left_out: Counter[str]
) -> tuple[pa.Table, pa.Table]:
    """The tables without rows that are another row's object, lenses first, then in the sampling order."""
    import pyarrow as pa

    ids, ra, dec, tiers, refs = (
        [*_values(positives, name), *_values(negatives, name)] for name in ("galaxy_id", "ra", "dec", "tier", "ref")
    )
    n = positives.num_rows
    near: dict[int, list[int]] = {}
    for i, j in zip(*(side.tolist() for side in geometry.pairs_among(ra, dec, SAME_OBJECT_ARCSEC)[:2]), strict=True):
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    kept = [True] * len(ids)

    def rank(row: int) -> tuple[bool, bool, str, str]:
        return row >= n, tiers[row] != "A", order_key(ids[row], seed), ids[row]

    for row in sorted(near, key=rank):
        if not kept[row]:
            continue
        for other in (other for other in near[row] if kept[other]):
            kept[other] = False
            left_out[f"{'positives' if other < n else 'negatives'}, {SAME_OBJECT}"] += 1
            if other < n:
                names = "|".join(filter(None, (refs[row], refs[other]))).split("|")
                refs[row] = "|".join(dict.fromkeys(names)) or None
    if "ref" in positives.column_names:
        place, field = positives.column_names.index("ref"), positives.schema.field("ref")
        positives = positives.set_column(place, field, pa.array(refs[:n], field.type))
    return positives.filter(pa.array(kept[:n], pa.bool_())), negatives.filter(pa.array(kept[n:], pa.bool_()))


def _values(table: pa.Table, name: str) -> list[Any]:
    """A column as Python values; all None where the table has none."""
    return list(table[name].to_pylist()) if name in table.column_names else [None] * table.num_rows


def _sampling_seed(chain: Chain) -> int:
    """The seed by which negatives were drawn; the usual one if that is not recorded."""
    seeds = [step.parameters.get("seed") for step in chain if step.command == "sample"]
    return next((seed for seed in reversed(seeds) if isinstance(seed, int)), SEED)


def _sizes(cutouts: CutoutListing) -> str:
    """Sides and pixel scales, for people; cutouts that failed have no scale."""
    known = [(px, f"{scale:g}") for px, scale in cutouts.sizes if scale]
    known = known or [(px, "unknown") for px, _ in cutouts.sizes]
    return ", ".join(f"{px} px of {scale} arcsec" for px, scale in sorted(known))


def _without_shared_sky(rows: pa.Table, sizes_arcsec: tuple[float, float], left_out: Counter[str]) -> list[bool]:
    """Which rows to keep so that no two cutouts of different splits overlap."""
    import numpy as np

    size = np.where(rows["label"].to_numpy() == 1, *sizes_arcsec)
    first, second = geometry.overlapping_pairs(rows["ra"].to_numpy(), rows["dec"].to_numpy(), size)
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
