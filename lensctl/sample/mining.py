"""Hard negatives: rows of the train split that a model scored highest, away from all that may be a lens.

What is drawn trains the next model, so nothing of it may lie where that model is judged: a row counts as train by the
survey's split rule, by its column, by the fold of the model that scored it, and with its whole cutout.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.io.provenance.steps import last_step
from lensctl.io.tables.sql import Database
from lensctl.learning.data import held_out
from lensctl.rules import sampling_rule, schema, split
from lensctl.rules.errors import InputError
from lensctl.sample.choosing import refuse_bad_ids
from lensctl.sample.engine import CANDIDATES
from lensctl.sample.near_lenses import exclude_near

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain, Step
    from lensctl.rules.survey import Survey

NEEDED = ("galaxy_id", "ra", "dec", "healpix_128", "split")
"""Columns of a pool that the rule needs."""
SCORES, APART, PICKED = "scores", "apart", "picked"
"""Names of the scores, of ids that are not drawn, and of the rows that are."""
TRAIN = "train"


@dataclass(frozen=True)
class HardPlan:
    """Result of `plan_hard`.

    Attributes
    ----------
    rows, drawn_from : int
        Rows drawn, and rows of train with a score that might have been.
    near, by_id : int
        Of the rows with a score, those left out because of their place, and of the others because of their id.
    at_border : int
        Rows passed over because their cutout reaches another split.
    least_logit : float
        Lowest logit among the rows drawn.
    mined : str
        Value of the column of that name.
    ranking : str
        SQL of the order in which rows are taken.
    """

    rows: int
    drawn_from: int
    near: int
    by_id: int
    at_border: int
    least_logit: float
    mined: str
    ranking: str

    @property
    def sql(self) -> str:
        """The SQL that selects the rows."""
        return f"SELECT * FROM {PICKED}"


def plan_hard(
    database: Database,
    pool: pa.Schema,
    count: int,
    *,
    survey: Survey,
    chain: Chain,
    places: pa.Table,
    ids: pa.Table,
    exclude_arcsec: float,
    seed: int = sampling_rule.SEED,
    control: bool = False,
) -> HardPlan:
    """Choose rows of the train split: those of the highest logit, or as many at random for the control arm.

    Parameters
    ----------
    database
        Has the pool registered as `pool`, and scores (galaxy_id, logit) as SCORES.
    pool : pa.Schema
        The pool's columns.
    chain : Chain
        Provenance of the scores: the model's fold, and the rounds it was trained on.
    places : pa.Table
        ra, dec in degrees of lenses, candidates and graded galaxies: rows within `exclude_arcsec` are not drawn.
    ids : pa.Table
        galaxy_id of rows that are not drawn, wherever they lie.
    control : bool
        Take rows in the order of MD5("seed:control:galaxy_id") from the same rows, each standing for several.

    Raises
    ------
    InputError
        Missing columns, null or duplicate ids, invalid positions, scores of no known model, pixels that are not those
        of their positions, or fewer rows than asked for.
    """
    schema.require(pool, *NEEDED, where="pool")
    schema.require_numbers(pool.empty_table(), "ra", "dec", "healpix_128", where="pool")
    round_ = round_of(chain)
    rule = split.split_sql("healpix_128", survey.split_seed, survey.split_edges)
    locator = ", ".join(database.locator)
    database.view(
        "scored", f"SELECT CAST(galaxy_id AS VARCHAR) AS galaxy_id, CAST(logit AS DOUBLE) AS logit FROM {SCORES}"
    )
    _refuse_bad_scores(database)
    database.view(
        "named", f"SELECT {locator}, CAST(galaxy_id AS VARCHAR) AS galaxy_id, ra, dec, healpix_128, split FROM pool"
    )
    database.keep(
        CANDIDATES,
        f"SELECT {locator}, galaxy_id, 'hard' AS pool, ra, dec, healpix_128, logit FROM named JOIN scored"
        f" USING (galaxy_id) WHERE split = '{TRAIN}' AND {rule} = '{TRAIN}' AND logit IS NOT NULL",
    )
    refuse_bad_ids(database)
    near = exclude_near(database, places, exclude_arcsec, ())
    database.register(APART, ids)
    far = f"SELECT * FROM {CANDIDATES} ANTI JOIN near USING ({locator})"
    database.keep("free", f"SELECT * FROM ({far}) ANTI JOIN {APART} USING (galaxy_id)")
    total, free = (_count(database, name) for name in (CANDIDATES, "free"))
    by_logit = "" if control else "logit DESC, "
    key = sampling_rule.order_sql("concat('control:', galaxy_id)" if control else "galaxy_id", seed)
    ranking = f"{by_logit}{key}, galaxy_id"
    rows, at_border = _first_inside(database, count, free, ranking, chain, survey)
    weight = (free - at_border) / count if control else 1.0
    mined = f"{'control' if control else 'hard'} {round_}"
    _register_picked(database, rows, weight, mined)
    least = float(np.min(rows["logit"].to_numpy()))
    return HardPlan(count, free, near, total - near - free, at_border, least, mined, ranking)


def round_of(chain: Chain) -> int:
    """The round that scores start: one more than those whose hard negatives their model was trained on.

    Raises InputError where the provenance names no model.
    """
    trained = last_step(chain, "train")
    if trained is None:
        raise InputError(
            "the scores of --hard do not say which model made them", "give a table of `lensctl score` as it is"
        )
    before = (str(step.parameters.get("mined")) for step in _ancestors(trained, chain) if step.command == "sample")
    rounds = [int(found[1]) for text in before if (found := re.fullmatch(r"hard (\d{1,6})", text))]
    return 1 + max(rounds, default=0)


def _ancestors(step: Step, chain: Chain) -> list[Step]:
    """The steps that a step's inputs were made by, and so on."""
    by_id = {each.id: each for each in chain}
    found: dict[str, Step] = {}
    ahead = [source.step for source in step.inputs]
    while ahead:
        name = ahead.pop()
        if name is not None and name in by_id and name not in found:
            found[name] = by_id[name]
            ahead += [source.step for source in by_id[name].inputs]
    return list(found.values())


def _refuse_bad_scores(database: Database) -> None:
    """Raise InputError for scores that are not numbers, or two of one galaxy."""
    bad = "SELECT count(*) AS n FROM scored WHERE isnan(logit) OR isinf(logit)"
    count = int(database.query(bad)["n"][0].as_py())
    if count:
        raise InputError(f"--hard: column 'logit' is not finite in {count:,} rows", "score them again")
    twice = "SELECT galaxy_id FROM scored GROUP BY galaxy_id HAVING count(*) > 1 ORDER BY galaxy_id LIMIT 1"
    found = database.query(twice)["galaxy_id"].to_pylist()
    if found:
        raise InputError(f"--hard: galaxy {found[0]} has two scores", "keep one of each")


def _count(database: Database, name: str) -> int:
    return int(database.query(f"SELECT count(*) AS n FROM {name}")["n"][0].as_py())


def _first_inside(
    database: Database, count: int, free: int, ranking: str, chain: Chain, survey: Survey
) -> tuple[pa.Table, int]:
    """The first `count` rows whose cutout lies in train, and how many were passed over.

    Of the control arm all rows are looked at, so that their number, and the weight, is that of the rows drawn from.
    """
    import pyarrow as pa

    most = count if ranking.startswith("logit") else free
    while True:
        rows = database.query(f"SELECT * FROM free ORDER BY {ranking} LIMIT {most}")
        inside = _inside_train(rows, chain, survey)
        if inside.sum() >= count:
            first = np.flatnonzero(inside)[:count]
            passed = int((~inside).sum()) if most >= free else int(first[-1]) + 1 - count
            return rows.take(pa.array(first)), passed
        if most >= free:
            raise InputError(
                f"--count {count}: {int(inside.sum()):,} rows of the train split have a score and lie apart from "
                "lenses, candidates, graded galaxies and other splits",
                f"ask for at most {int(inside.sum()):,}, or score more of the pool",
            )
        most = min(2 * most + 1000, free)


def _inside_train(rows: pa.Table, chain: Chain, survey: Survey) -> NDArray[np.bool_]:
    """Whether the cutout of each row lies in train, place by place."""
    ra, dec = (rows[axis].to_numpy().astype(np.float64) for axis in ("ra", "dec"))
    pixel = split.healpix(ra, dec)
    wrong = int((pixel != rows["healpix_128"].to_numpy()).sum())
    if wrong:
        raise InputError(f"pool: healpix_128 is not that of ra, dec in {wrong:,} rows", "remake the pool")
    inside = np.ones(len(ra), bool)
    for place in split.box_pixels(ra, dec, survey.cutout_arcsec).T:
        inside &= split.splits_of(place, survey.split_seed, survey.split_edges) == TRAIN
        inside &= held_out.splits_of_model(place, chain, survey) == TRAIN
    return inside


def _register_picked(database: Database, rows: pa.Table, weight: float, mined: str) -> None:
    import pyarrow as pa

    picked = rows.select(list(database.locator))
    picked = picked.append_column("sampling_weight", pa.array(np.full(rows.num_rows, weight)))
    database.register(PICKED, picked.append_column("mined", pa.array([mined] * rows.num_rows, pa.string())))
