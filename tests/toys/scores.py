"""Scores as `lensctl score` writes them, of a model that is good but not perfect."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, Step, extend, stamp, step_input
from lensctl.stats.calibration import logistic
from tests.toys.manifests import toy_manifest

MODEL_DIGEST = "sha256:" + "5" * 64


def toy_scores(
    positives: int = 400, negatives: int = 2000, seed: int = 0, members: int = 1, commands: tuple[str, ...] = ("pool",)
) -> pa.Table:
    """A manifest with `logit` and `p`; its chain has `commands`, manifest, train and score."""
    random = np.random.default_rng(seed + 100)
    manifest = toy_manifest(positives, negatives, seed)
    label = manifest["label"].to_numpy()
    sure = np.where(np.array(manifest["tier"].to_pylist()) == "A", 5.0, 4.0) * label - 3.0
    logits = (sure + 1.4 * random.normal(size=len(label)))[:, None] + 0.3 * random.normal(size=(len(label), members))
    logits = logits.astype(np.float32).astype(np.float64)
    mean = logits.mean(axis=1)
    scores = manifest.append_column("logit", pa.array(mean)).append_column("p", pa.array(logistic(mean)))
    for k in range(members):
        scores = scores.append_column(f"logit_{k}", pa.array(logits[:, k]))
    return stamp(scores, toy_chain(manifest, commands))


def toy_pixels(rows: np.ndarray) -> np.ndarray:
    """A round galaxy for each row, (n, 21, 21, 3), of one of five brightnesses."""
    y, x = np.mgrid[-10:11, -10:11]
    image = np.exp(-np.hypot(x, y) / 4)[None, :, :, None] * (1 + np.asarray(rows) % 5)[:, None, None, None]
    return np.repeat(image, 3, axis=3).astype(np.float32)


def restamped(scores: pa.Table) -> pa.Table:
    """Changed scores as they would be of a manifest that is changed alike."""
    added = [name for name in scores.column_names if name in ("p", "role") or name.startswith("logit")]
    return stamp(scores, toy_chain(scores.drop_columns(added)))


def toy_chain(manifest: pa.Table, commands: tuple[str, ...] = ("pool",)) -> Chain:
    """Steps to scores of a manifest, each the parent of the next."""
    chain: Chain = ()
    for command in (*commands, "manifest"):
        inputs = (step_input("table", f"before_{command}", "sha256:" + "0" * 64, chain),)
        chain = extend(Step(command, {}, inputs), chain)
    source = step_input("manifest", "manifest.parquet", digests.of_table(manifest), chain)
    trained = extend(Step("train", {"epochs": 1}, (source,)), chain)
    model = step_input("model", "run", MODEL_DIGEST, trained)
    return extend(Step("score", {}, (model, source)), trained)
