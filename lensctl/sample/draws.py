"""The three draws, each from its files to the rows that it takes: stratified, uniform, and hard negatives."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lensctl.astro import geometry
from lensctl.astro.lens_units import Lenses
from lensctl.io.provenance.steps import Chain, Input, chain_of, common_survey, step_input
from lensctl.io.tables.files import chain_at
from lensctl.io.tables.scanned import ScannedTable
from lensctl.io.tables.sql import Database
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.strata import parse_strata
from lensctl.rules.survey import Survey
from lensctl.sample import mining, planning, suspects, uniform_plan
from lensctl.sample.avoided import read_avoided, read_positives
from lensctl.sample.condition import columns_of

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.io.tables.spark import Cluster

ENGINES = ("duckdb", "spark")
MEMORY_MB_PER_THREAD = 450


@dataclass(frozen=True)
class Ask:
    """What every draw is told: the pool and how to read it, the seed, and what to stay away from, and how far."""

    stack: contextlib.ExitStack
    pool: str
    engine: str
    format: str | None
    survey: Survey | str | None
    seed: int
    lenses: tuple[str, ...]
    exclude_arcsec: float | None

    def agreed(self, *chains: Chain) -> tuple[Survey, float]:
        """The survey of the pool and other inputs, and the least distance, arcsec."""
        of = common_survey(self.survey, *chains, chain_at(self.pool))
        arcsec = of.exclude_arcsec if self.exclude_arcsec is None else self.exclude_arcsec
        geometry.refuse_wide("exclude_arcsec", arcsec)
        return of, arcsec

    def begin(self, columns: Sequence[str]) -> tuple[Database | Cluster, ScannedTable]:
        """Open the engine with columns of the pool registered; the stack closes it."""
        if self.engine == "spark":
            from lensctl.io.tables.spark import Cluster

            cluster = self.stack.enter_context(Cluster())
            return cluster, cluster.scan("pool", self.pool, columns)
        database = self.database()
        return database, self.scan(database, columns)

    def database(self) -> Database:
        """A database on this machine."""
        return self.stack.enter_context(Database(memory_mb_per_thread=MEMORY_MB_PER_THREAD))

    def scan(self, database: Database, columns: Sequence[str]) -> ScannedTable:
        """Register columns of the pool."""
        format = self.format if self.pool == "-" else None
        return database.scan("pool", self.pool, format, columns=columns, located=True)


@dataclass(frozen=True)
class Draw:
    """What is drawn: rows and SQL, what receipt and step say of it, where it came from, and what people are told."""

    database: Database | Cluster
    scan: ScannedTable
    survey: Survey
    exclude_arcsec: float
    rows: int
    sql: str
    counts: dict[str, Any]
    parameters: dict[str, Any]
    lenses: Lenses
    sources: tuple[Input, ...]
    parents: tuple[Chain, ...] = ()
    strata: pa.Table | None = None
    short: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mix:
    """Options of a stratified draw."""

    negatives_per_positive: int
    target_negative_count: int
    n1_n2_ratio: tuple[float, float]
    stratification_bins: tuple[str, ...]


@dataclass(frozen=True)
class Files:
    """Files of a draw of hard negatives."""

    scores: str
    grades: tuple[str, ...]
    candidates: tuple[str, ...]
    manifest: str | None


def stratified(ask: Ask, positives: str, mix: Mix) -> Draw:
    """Negatives of the positives' strata; see `planning.plan`."""
    wanted = read_positives(positives)
    avoided = read_avoided(wanted, ask.lenses)
    chain = chain_of(wanted.table, positives)
    of, arcsec = ask.agreed(chain)
    by = parse_strata(mix.stratification_bins) if mix.stratification_bins else dict(of.strata)
    database, scan = ask.begin((*planning.NEEDED, *by))
    planned = planning.plan(
        database,
        scan.schema,
        wanted.table,
        by=by,
        seed=ask.seed,
        per_positive=mix.negatives_per_positive,
        n1_n2_ratio=mix.n1_n2_ratio,
        cap=mix.target_negative_count,
        lenses=avoided.positions,
        exclude_arcsec=arcsec,
    )
    short = [quota for quota in planned.quotas if quota.shortfall]
    shortfall = sum(quota.shortfall for quota in short)
    bins = [f"{name}={','.join(values)}" for name, values in by.items()]
    unstratified = f"{planned.unstratified} positives have no stratum and get no negatives"
    return Draw(
        database,
        scan,
        of,
        arcsec,
        planned.rows,
        planned.sql,
        {"strata": len(planned.quotas), "short": shortfall, "near_lenses": planned.near_lenses},
        {**asdict(mix), "n1_n2_ratio": list(mix.n1_n2_ratio), "stratification_bins": bins},
        avoided.lenses,
        avoided.sources,
        (chain,),
        planned.strata,
        ", ".join(f"{'/'.join(quota.stratum)} by {quota.shortfall}" for quota in short),
        (unstratified,) if planned.unstratified else (),
    )


def uniform(ask: Ask, count: int, where: str | None, positives: str | None) -> Draw:
    """Rows of the pool, each as likely; see `uniform_plan.plan_uniform`."""
    known = None if positives is None else read_positives(positives)
    avoided = read_avoided(known, ask.lenses)
    chain = () if known is None else chain_of(known.table, known.path)
    of, arcsec = ask.agreed(chain)
    database, scan = ask.begin(tuple(dict.fromkeys((*uniform_plan.NEEDED, *columns_of(where or "")))))
    planned = uniform_plan.plan_uniform(
        database, scan.schema, count, seed=ask.seed, where=where, lenses=avoided.positions, exclude_arcsec=arcsec
    )
    weight = planned.sampling_weight
    return Draw(
        database,
        scan,
        of,
        arcsec,
        planned.rows,
        planned.sql,
        {"drawn_from": planned.pool_rows, "sampling_weight": weight, "near_lenses": planned.near_lenses},
        {"uniform": count, "where": where},
        avoided.lenses,
        avoided.sources,
        (chain,),
        notes=(f"{count:,} of {planned.pool_rows:,} rows: each stands for {weight:.6g}",),
    )


def hard(ask: Ask, files: Files, count: int | None, *, control: bool) -> Draw:
    """Rows of train that a model scored highest, or the control arm's; see `mining.plan_hard`."""
    if count is None:
        raise InputError("--hard needs --count", "say how many rows to draw")
    if ask.engine != "duckdb":
        raise InputError("--hard runs on one machine", "omit --engine")
    if "-" in (ask.pool, files.scores):
        raise InputError("--hard reads the pool and the scores more than once", "name files, not -")
    found = suspects.read_suspects(ask.lenses, files.grades, files.candidates, files.manifest)
    database = ask.database()
    scores = database.scan(mining.SCORES, files.scores, columns=("galaxy_id", "logit"))
    schema.require(scores.schema, "galaxy_id", "logit", where=files.scores)
    schema.require_numbers(scores.schema.empty_table(), "logit", where=files.scores)
    of, arcsec = ask.agreed(scores.chain, *found.chains)
    scan = ask.scan(database, mining.NEEDED)
    planned = mining.plan_hard(
        database,
        scan.schema,
        count,
        survey=of,
        chain=scores.chain,
        places=suspects.all_places(found, database),
        ids=suspects.all_ids(found),
        exclude_arcsec=arcsec,
        seed=ask.seed,
        control=control,
    )
    counts = {"mined": planned.mined, "drawn_from": planned.drawn_from, "near_lenses": planned.near}
    counts |= {"left_out_by_id": planned.by_id, "at_border": planned.at_border}
    return Draw(
        database,
        scan,
        of,
        arcsec,
        planned.rows,
        planned.sql,
        {**counts, "least_logit": planned.least_logit},
        {"mined": planned.mined, "count": count, "ranking": planned.ranking},
        found.lenses,
        (step_input("scores", files.scores, scores.digest, scores.chain), *found.sources),
        (scores.chain, *found.chains),
        notes=_notes(planned, files),
    )


def _notes(planned: mining.HardPlan, files: Files) -> tuple[str, ...]:
    drawn = f"{planned.mined}: {planned.rows:,} of {planned.drawn_from:,} rows of train with a score; left out near a "
    drawn += f"lens, candidate or graded galaxy {planned.near:,}, by id {planned.by_id:,}, at a border of splits "
    unsaid = [name for name, given in (("--candidates", files.candidates), ("--grades", files.grades)) if not given]
    warning = f"warning: without {' and '.join(unsaid)} undiscovered lenses may be among them" if unsaid else ""
    return tuple(filter(None, (f"{drawn}{planned.at_border:,}", warning)))
