"""Scores of a uniform draw of the test split, by the model of `toy_scores`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lensctl.astro import geometry
from lensctl.io.provenance.steps import Step, chain_of, extend, stamp, step_input
from lensctl.rules import split
from tests.toys.scores import MODEL_DIGEST

CONFUSERS = ("ring_proxy", "edge_on_proxy")


def uniform_scores(scores: pa.Table, rows: int = 20_000, seed: int = 3, parameters: dict | None = None) -> pa.Table:
    """`rows` galaxies of tier N0 all over the test split, near no lens; the ring proxies have higher logits."""
    random = np.random.default_rng(seed)
    ra, dec = random.uniform(0, 360, 12 * rows), np.degrees(np.arcsin(random.uniform(-0.9, 0.5, 12 * rows)))
    pixel = split.healpix(ra, dec)
    lens = scores.filter(pc.equal(scores["label"], 1))
    near = geometry.Neighbourhood(lens["ra"].to_numpy(), lens["dec"].to_numpy(), 12.0).holds(ra, dec)
    held_out = np.flatnonzero((split.splits_of(pixel) == "test") & ~near)[:rows]
    assert len(held_out) == rows
    kind = random.choice([None, *CONFUSERS], rows, p=[0.98, 0.01, 0.01])
    logit = random.normal(-3.0, 1.4, rows) + np.where(kind == "ring_proxy", 3.0, 0.0)
    table = pa.table(
        {
            "galaxy_id": [f"u{i}" for i in range(rows)],
            "ra": ra[held_out],
            "dec": dec[held_out],
            "confuser_category": pa.array(kind.tolist(), pa.string()),
            "tier": pa.array(["N0"] * rows),
            "sampling_weight": np.full(rows, 25.0),
            "logit": logit,
        }
    )
    drawn = extend(Step("sample", parameters or {"uniform": rows}, ()))
    trained = chain_of(scores)[:-1]
    model = step_input("model", "run", MODEL_DIGEST, trained)
    return stamp(
        table, extend(Step("score", {}, (model, step_input("table", "drawn", "sha256:0", drawn))), drawn, trained)
    )
