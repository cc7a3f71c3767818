"""From a pool on disk or S3 to a table of hosts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import geometry
from lensctl.astro.lens_units import DEGREES, Lenses, refuse_other_units
from lensctl.hosts.choosing import Draw, criteria_of, measured, values_of
from lensctl.hosts.redshift import COLOUR, MEASURED, columns, host_redshifts
from lensctl.io.paths import Paths, listed
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Input, Step, chain_of, common_survey, extend, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.tables import lens_catalogs
from lensctl.io.tables.files import chain_at, read_table, refuse_tables
from lensctl.io.tables.sql import Database
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey
from lensctl.stats.odds import matching_weight

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

EXCLUDE_ARCSEC = 30.0
"""Wider than a cutout is from its centre to its corner, so that no cutout of a host shows a lens."""
CHOSEN = "chosen"
"""Name of the table of hosts."""
BATCH_ROWS = 131_072
MEMORY_MB_PER_THREAD = 450
LEAST_LENSES = 10
"""Lenses from which a weight is made, at least."""
NOT_TEST = ("train", "val")
"""Splits whose lenses the hosts are made to resemble."""


def hosts(
    pool: str | Path,
    output: str | Path,
    *,
    lenses: Paths,
    positives: str | Path | None = None,
    survey: Survey | str | None = None,
    split: str = "test",
    count: int = 10_000,
    category: str | None = None,
    exclude_arcsec: float = EXCLUDE_ARCSEC,
    seed: int = 42,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Choose galaxies of a pool that could be lenses, far from every known one.

    Parameters
    ----------
    pool, output : path
        Table or folder of the pool, and table to write; `-` is stdin and stdout.
    lenses : path or paths
        Lens catalogues to stay away from; at least one.
    positives : path, optional
        Made by `crossmatch`: `host_weight` makes the hosts resemble those of its train and val lenses that have
        magnitude and colours within the criteria of hosts, in magnitude, colours and log size; without it the weight
        is 1. Hosts stay away from all its lenses.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    split : str
        Only galaxies of this split.
    count : int
        Maximum number of hosts; a larger count includes the hosts of a smaller one.
    category : str, optional
        Confuser classes, joined by commas, instead of the criteria of type and colour.
    exclude_arcsec : float
        Least distance from every lens.

    Returns
    -------
    Receipt
        With rows, rows read, eligible and near lenses, and hosts by the source of their redshift.

    Raises
    ------
    InputError
        No catalogue, unknown split or class, missing columns, no host, lenses in another unit than degrees, fewer than
        10 lenses in `positives`, inputs of two surveys, an existing output.
    """
    pool, output = str(pool), str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    catalogues = listed(lenses)
    if not catalogues:
        raise InputError("no lens catalogue is given", "add --lenses CATALOG, once per catalogue")
    if category is not None and positives is not None:
        raise InputError(
            "galaxies of a confuser class are not weighted as lenses", "leave out --positives, or --category"
        )
    if count < 1:
        raise InputError(f"count is {count}", "ask for 1 host or more")
    geometry.refuse_wide("exclude_arcsec", exclude_arcsec)
    avoid, sources = lens_catalogs.positions(catalogues)
    chain: Chain = ()
    wanted = None
    if positives is not None:
        wanted, avoid, chain, own = _positives(str(positives), avoid)
        sources = (*sources, own)
    of = common_survey(survey, chain, chain_at(pool))
    draw = Draw(of, criteria_of(of, split, category), avoid, exclude_arcsec, count, seed, split)
    matched = _matched(of) if wanted is not None else ()
    target = None if wanted is None else _target(wanted, matched, draw, str(positives), report)
    with Database(memory_mb_per_thread=MEMORY_MB_PER_THREAD) as database:
        needed = (*draw.columns, *matched)
        read_too = columns(of, schema.columns(of))
        scan = database.scan("pool", pool, format if pool == "-" else None, columns=(*needed, *read_too), located=True)
        of = common_survey(of, scan.chain)
        schema.require(scan.schema, *needed, where=_name(pool), survey=of)
        there = dict.fromkeys((*needed, *columns(of, scan.schema.names)))
        chosen = _drawn(database, draw, tuple(there))
        report.table("Funnel", ("criterion", "removed", "remaining"), draw.funnel())
        refuse_other_units(draw.in_units, avoid)
        _warn_far(draw, avoid, report)
        if not chosen.num_rows:
            raise InputError(
                "no galaxy of the pool meets the criteria of hosts", "the funnel above shows which removed them"
            )
        if chosen.num_rows < count:
            report.say(f"only {chosen.num_rows:,} of {count:,} hosts: the pool has no more that meet the criteria")
        made, facts = _with_values(chosen, of, matched, target, pool)
        if target is not None:
            report.table(
                "Match", ("quantity", "lenses", "hosts", "hosts, weighted"), _match(chosen, made, matched, target)
            )
        database.register("made", made)
        database.keep(CHOSEN, "SELECT * FROM made")
        parameters = {
            "split": split,
            "count": count,
            "category": category,
            "criteria": dict(draw.criteria),
            "exclude_arcsec": exclude_arcsec,
            "seed": seed,
            "weighted": target is not None,
        }
        inputs = (step_input("pool", pool, scan.digest, scan.chain), *sources)
        whole = extend(Step("hosts", parameters, inputs, survey=of), scan.chain, chain)
        database.write_located(CHOSEN, output, whole, rows=made.num_rows, overwrite=overwrite, format=format)
    counts = {"read": draw.read, "eligible": draw.eligible, "near_lenses": draw.lost["near a lens"]}
    return {"command": "hosts", "output": output, "rows": made.num_rows, "split": split, **counts, **facts}


def _name(path: str) -> str:
    return "stdin" if path == "-" else path


def _drawn(database: Database, draw: Draw, names: tuple[str, ...]) -> pa.Table:
    """The hosts in order, with some columns and where they lie in the pool."""
    import pyarrow as pa

    listed_names = ", ".join((*map(database.identifier, names), *database.locator))
    _, batches = database.stream(f"SELECT {listed_names} FROM pool", BATCH_ROWS)
    for batch in batches:
        draw.add(pa.Table.from_batches([batch]))
    return draw.hosts()


def _matched(survey: Survey) -> tuple[str, ...]:
    """Columns in which hosts are made to resemble lenses; of the last, the logarithm."""
    return (survey.depth("mag"), *survey.colour_columns, "shape_r")


def _positives(path: str, avoid: Lenses) -> tuple[pa.Table, Lenses, Chain, Input]:
    """The positives; the lenses to avoid, theirs too; their provenance, and themselves as an input."""
    table = read_table(path)
    schema.require(table, "ra", "dec", where=path)
    schema.refuse_bad_positions(table, where=path)
    own, _ = lens_catalogs.positions([path])
    both = [np.concatenate([table[axis].to_numpy(), at]) for axis, at in zip(("ra", "dec"), own.every, strict=True)]
    chain = chain_of(table, path)
    every = Lenses((*avoid.names, path), (*avoid.places, (both[0], both[1])))
    return table, every, chain, step_input("positives", path, digests.of_table(table), chain)


def _target(
    positives: pa.Table, names: tuple[str, ...], draw: Draw, where: str, report: Reporter
) -> NDArray[np.float64]:
    """The matched quantities of the train and val lenses, in an order of their own: (M, F) float64.

    Only of those that meet the criteria of hosts in these quantities: where there are no hosts, none can resemble a
    lens, and weights that try to would spoil the rest.
    """
    schema.require(positives, "split", *names, where=where)
    schema.require_numbers(positives, *names, where=where)
    expressions = [draw.survey.expression(text) for text in draw.criteria.values()]
    values = _quantities(positives, names)
    taught = np.isin(values_of(positives, "split"), NOT_TEST)
    alike = np.isfinite(values).all(axis=1)
    for expression in expressions:
        if set(expression.columns) <= set(names):
            alike &= expression(lambda name: values_of(positives, name))
    known = values[taught & alike]
    report.say(
        f"{len(known):,} of {int(taught.sum()):,} train and val lenses have {', '.join(names)} as hosts may have: "
        "host_weight makes hosts resemble these"
    )
    if len(known) < LEAST_LENSES:
        raise InputError(
            f"{where}: {len(known)} train and val lenses are too few to weight hosts by",
            f"give {LEAST_LENSES} or more, or leave out --positives",
        )
    return known[np.lexsort(known.T)]


def _quantities(rows: pa.Table, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Columns as they are matched: the last as its logarithm, NaN where it is not above 0."""
    values = measured(rows, names)
    size = values[:, -1]
    values[:, -1] = np.log(np.where(size > 0, size, np.nan))
    return values


def _with_values(
    chosen: pa.Table, survey: Survey, matched: tuple[str, ...], target: NDArray[np.float64] | None, pool: str
) -> tuple[pa.Table, Receipt]:
    """Where the hosts lie in the pool, with the columns to add; and what the receipt says of these."""
    import pyarrow as pa

    weight = np.ones(chosen.num_rows)
    if target is not None:
        values = _quantities(chosen, matched)
        unknown = ~np.isfinite(values).all(axis=1)
        if unknown.any():
            raise InputError(
                f"{_name(pool)}: {int(unknown.sum())} hosts have no {' or '.join(matched)}, by which they are weighted",
                "add criteria to the survey's hosts that need them, or leave out --positives",
            )
        weight = matching_weight(values, target)
    named = {name: np.asarray(values_of(chosen, name), np.float64) for name in columns(survey, chosen.column_names)}
    z_host, z_source = host_redshifts(named, chosen.num_rows, survey)
    made = chosen.select(list(Database.locator))
    added = {"host_weight": pa.array(weight), "z_host": z_host, "z_source": z_source}
    for name, column in added.items():
        made = made.append_column(name, column)
    sources = z_source.to_pylist()
    counts = {"z_phot": sources.count(MEASURED), "z_colour": sources.count(COLOUR), "z_unknown": sources.count(None)}
    effective = {}
    if target is not None:
        effective = {"resembled": len(target), "effective": round(float(weight.sum() ** 2 / (weight**2).sum()), 1)}
    return made, {**counts, **effective}


def _match(
    chosen: pa.Table, made: pa.Table, names: tuple[str, ...], target: NDArray[np.float64]
) -> list[tuple[str, float, float, float]]:
    """Mean of each matched quantity of the lenses, of the hosts, and of the hosts by weight."""
    values, weight = _quantities(chosen, names), made["host_weight"].to_numpy()
    means = (target.mean(axis=0), values.mean(axis=0), np.average(values, weights=weight, axis=0))
    labels = (*names[:-1], f"log {names[-1]}")
    return [(label, *(round(float(of[k]), 3) for of in means)) for k, label in enumerate(labels)]  # type: ignore[misc]


def _warn_far(draw: Draw, lenses: Lenses, report: Reporter) -> None:
    """Say of which catalogue no lens lies near any row of the pool."""
    for number, (name, (ra, _)) in enumerate(zip(lenses.names, lenses.places, strict=True)):
        if len(ra) and not draw.in_units[DEGREES][str(number)]:
            report.say(
                f"warning: of {draw.read:,} rows none lies within {draw.exclude_arcsec:g} arcsec of any of the "
                f"{len(ra):,} lenses of {name}: do the catalogues cover the same sky, both in degrees?"
            )
