"""From a pool on disk or S3 to a table of negatives: stratified, uniform, or those that a model scored highest."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Sequence
from pathlib import Path

from lensctl.io.paths import Paths, listed
from lensctl.io.provenance.steps import Step, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.tables.files import refuse_tables, table_beside
from lensctl.rules.errors import InputError
from lensctl.rules.sampling_rule import SEED
from lensctl.rules.survey import Survey
from lensctl.sample import draws
from lensctl.sample.choosing import CHOSEN
from lensctl.sample.draws import ENGINES, Ask, Draw
from lensctl.sample.kinds import HARD, STRATIFIED, kind_of
from lensctl.sample.near_lenses import refuse_other_units


def sample(
    pool: str | Path,
    output: str | Path,
    *,
    positives: str | Path | None = None,
    uniform: int | None = None,
    where: str | None = None,
    hard: str | Path | None = None,
    count: int | None = None,
    grades: Paths = (),
    candidates: Paths = (),
    manifest: str | Path | None = None,
    control: bool = False,
    lenses: Paths = (),
    survey: Survey | str | None = None,
    strata: str | Path | None = None,
    seed: int = SEED,
    negatives_per_positive: int = 100,
    target_negative_count: int = 510_000,
    n1_n2_ratio: tuple[float, float] = (0.85, 0.15),
    stratification_bins: Sequence[str] = (),
    exclude_arcsec: float | None = None,
    strict: bool = False,
    engine: str = "duckdb",
    dry_run: bool = False,
    explain: bool = False,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Draw negatives from a pool: the same rows for the same seed, whatever the engine.

    Parameters
    ----------
    pool, output : path
        Table or folder of the pool, and table to write; `-` is stdin and stdout.
    positives : path, optional
        Made by `crossmatch`; their strata set the targets of a stratified draw. A uniform one stays away from them.
    uniform : int, optional
        Draw so many rows, each of the pool as likely, in place of a stratified draw; they get tier N0.
    where : str, optional
        SQL condition on the rows of a uniform draw, such as "split = 'test'".
    hard : path, optional
        Scores: draw the `count` rows of the train split that they have highest, away from `lenses` (needed),
        `candidates` of a search, and galaxies of `grades` A, B or C.
    manifest : path, optional
        Galaxies that hard negatives are not drawn from again.
    control : bool
        As many random rows of those that `hard` draws from: the other arm.
    lenses : sequence of paths
        Catalogues whose lenses are avoided, besides the positives.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    strata : path, optional
        Also write the table of strata here.
    stratification_bins : sequence of str
        `column=a,b,c`, values or bin edges; default the survey's strata.
    exclude_arcsec : float, optional
        Least distance from lenses and positives; default the survey's.
    strict : bool
        A stratum that falls short is an error.
    engine : str
        duckdb or spark.
    dry_run, explain : bool
        Only plan; show the SQL.

    Returns
    -------
    Receipt
        With rows and pool rows near lenses; strata and rows short, or the rows drawn from, and more.

    Raises
    ------
    InputError
        See `planning.plan`, `uniform_plan.plan_uniform`, `mining.plan_hard` and `kinds.kind_of`; an existing output,
        inputs of two surveys, a stratum short with `strict`.
    """
    kind = kind_of(dict(locals()), _DEFAULTS)
    pool, output = str(pool), str(output)
    if engine not in ENGINES:
        raise InputError(f"no engine '{engine}'", f"use {' or '.join(ENGINES)}")
    if not dry_run:
        refuse_tables(output, strata, overwrite=overwrite, format=format)
    with contextlib.ExitStack() as stack:
        ask = Ask(stack, pool, engine, format, survey, seed, tuple(listed(lenses)), exclude_arcsec)
        if kind == STRATIFIED:
            mix = draws.Mix(negatives_per_positive, target_negative_count, n1_n2_ratio, tuple(stratification_bins))
            drawn = draws.stratified(ask, str(positives), mix)
        elif kind == HARD:
            files = draws.Files(str(hard), tuple(listed(grades)), tuple(listed(candidates)), _text(manifest))
            drawn = draws.hard(ask, files, count, control=control)
        else:
            drawn = draws.uniform(ask, int(uniform or 0), where, _text(positives))
        refuse_other_units(drawn.database, drawn.lenses)
        _show(drawn, report, strict=strict, explain=explain)
        made = {"command": "sample", "output": output, "rows": drawn.rows, **drawn.counts}
        if dry_run:
            return {**made, "dry_run": True}
        parameters = {"seed": seed, **drawn.parameters, "exclude_arcsec": drawn.exclude_arcsec, "sql": drawn.sql}
        inputs = (step_input("pool", pool, drawn.scan.digest, drawn.scan.chain), *drawn.sources)
        step = Step("sample", parameters, inputs, survey=drawn.survey)
        chain = extend(step, drawn.scan.chain, *drawn.parents)
        drawn.database.keep(CHOSEN, drawn.sql)
        if drawn.strata is not None:
            stack.enter_context(table_beside(stamp(drawn.strata, chain), strata, overwrite))
        drawn.database.write_located(CHOSEN, output, chain, rows=drawn.rows, overwrite=overwrite, format=format)
    return made


HEADINGS = {
    "available_n1": "N1 in pool",
    "available_n2": "N2 in pool",
    "taken_n1": "N1 taken",
    "taken_n2": "N2 taken",
    "filled_from": "filled from",
}
"""Of columns of the strata, where people read them."""


_DEFAULTS = {name: each.default for name, each in inspect.signature(sample).parameters.items()}


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


def _show(drawn: Draw, report: Reporter, *, strict: bool, explain: bool) -> None:
    """Show the table of strata and what was left out; InputError if a stratum falls short and `strict` is set."""
    if drawn.strata is not None:
        rows = (list(row.values()) for row in drawn.strata.to_pylist())
        names = [HEADINGS.get(name, name.replace("_bin", " bin")) for name in drawn.strata.column_names]
        report.table("Strata", names, rows)
    for note in drawn.notes:
        report.say(note)
    if explain:
        report.say(drawn.sql)
    if drawn.short and strict:
        raise InputError(
            f"pool: strata fall short: {drawn.short}", "ask for fewer negatives per positive, or leave out --strict"
        )
