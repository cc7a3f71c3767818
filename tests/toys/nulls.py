"""Scored galaxies that are not lenses, of the test split, by some model: the null of a search."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lensctl.io.provenance.steps import Step, extend, stamp, step_input
from lensctl.rules import split

CLASSES = ("ring_proxy", "edge_on_proxy")


def null_scores(
    model_digest: str,
    rows: int = 2000,
    *,
    seed: int = 5,
    logit: float = -50.0,
    split_name: str = "test",
    criteria: dict[str, str] | None = None,
    **columns: object,
) -> pa.Table:
    """`rows` galaxies of one split with logits around `logit`, 1 % of each confuser class; `columns` replace or add."""
    random = np.random.default_rng(seed)
    ra, dec = random.uniform(0, 360, 20 * rows), np.degrees(np.arcsin(random.uniform(-0.9, 0.5, 20 * rows)))
    kept = np.flatnonzero(split.splits_of(split.healpix(ra, dec)) == split_name)[:rows]
    kind = random.choice([None, *CLASSES], rows, p=[0.98, 0.01, 0.01])
    table = {
        "galaxy_id": [f"n{seed}_{i}" for i in range(rows)],
        "ra": ra[kept],
        "dec": dec[kept],
        "confuser_category": pa.array(kind.tolist(), pa.string()),
        "sampling_weight": np.full(rows, 25.0),
        "logit": random.normal(logit, 1.0, rows),
        **columns,
    }
    pool = extend(Step("pool", {"criteria": criteria or {}}))
    drawn = extend(
        Step("sample", {"uniform": rows, "where": "split = 'test'"}, (step_input("pool", "p", "sha256:3", pool),)), pool
    )
    other_pool = extend(Step("pool", {"criteria": {"z": "nobs_z >= 99"}}))
    other_draw = step_input("pool", "pool.parquet", "sha256:1", other_pool)
    sampled = extend(Step("sample", {}, (other_draw,)), other_pool)  # what the model was trained on
    trained = extend(Step("train", {}, (step_input("manifest", "m", "sha256:2", sampled),)), sampled)
    model = step_input("model", "run", model_digest, trained)
    return stamp(
        pa.table(table),
        extend(Step("score", {}, (model, step_input("table", "drawn", "sha256:0", drawn))), drawn, trained),
    )
