"""An evaluation of survey size: the bootstrap beside its plain loop with scikit-learn, and the whole command."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from lensctl.io.tables.files import write_table
from lensctl.rules.acceptance import TARGET_FPRS
from lensctl.stats.intervals import ROUNDS, Resampling
from tests.benchmarks.processes import timed
from tests.toys.scores import toy_scores
from tests.toys.uniform import uniform_scores

ROWS, LENSES, PIXELS, PEER_ROUNDS = 77_000, 770, 20_000, 20
BOOTSTRAP_SECONDS, OF_PEER, COMMAND_SECONDS = 10.0, 10.0, 60.0
UNIFORM, UNIFORM_SECONDS, UNIFORM_MB = 1_000_000, 60.0, 2000.0
"""Galaxies of a uniform draw, and what judging them may take."""
POSITIVES, NEGATIVES = 5_140, 508_200
"""Of a manifest whose test split has 77,000 rows."""


def figures() -> Iterator[dict[str, object]]:
    """2,000 rounds of AUC, recall at three false positive rates, TPR0 and TPR10; and `lensctl evaluate` as a whole."""
    random = np.random.default_rng(0)
    label = np.arange(ROWS) < LENSES
    score = random.normal(size=ROWS) + 3 * label
    pixel = random.integers(0, PIXELS, ROWS)
    started = time.perf_counter()
    auc, *_ = Resampling(pixel, ROUNDS).ranking(label, score, TARGET_FPRS, (1, 10))
    seconds = time.perf_counter() - started
    plain, peer_seconds = peer(label, score, pixel)
    yield {
        "what": f"{ROUNDS} bootstrap rounds over {ROWS} rows in {len(np.unique(pixel))} HEALPix pixels",
        "seconds": round(seconds, 2),
        "limit_seconds": BOOTSTRAP_SECONDS,
        "times_as_fast_as_scikit_learn_on_the_auc_alone": round(peer_seconds / seconds, 1),
        "limit_times": OF_PEER,
        "holds": seconds <= BOOTSTRAP_SECONDS
        and peer_seconds / seconds >= OF_PEER
        and bool(np.allclose(auc[:PEER_ROUNDS], plain)),
    }
    with tempfile.TemporaryDirectory() as name:
        scores = Path(name) / "scores.parquet"
        table = toy_scores(POSITIVES, NEGATIVES)
        write_table(table, str(scores))
        command = [sys.executable, "-m", "lensctl", "evaluate", str(scores), str(Path(name) / "out")]
        ran = timed([*command, "--prevalence", "1e-4"])
        yield {
            "what": f"lensctl evaluate of {table.num_rows} rows, with --prevalence",
            "seconds": round(ran.seconds, 1),
            "peak_mb": round(ran.peak_mb),
            "limit_seconds": COMMAND_SECONDS,
            "holds": ran.seconds <= COMMAND_SECONDS,
        }
        small, uniform = toy_scores(POSITIVES, POSITIVES), Path(name) / "uniform.parquet"
        write_table(small, str(scores), overwrite=True)
        write_table(uniform_scores(small, UNIFORM), str(uniform))
        command = [sys.executable, "-m", "lensctl", "evaluate", str(scores), str(Path(name) / "on-uniform")]
        ran = timed([*command, "--negatives", str(uniform)])
        yield {
            "what": f"lensctl evaluate --negatives, {UNIFORM} galaxies of a uniform draw",
            "seconds": round(ran.seconds, 1),
            "peak_mb": round(ran.peak_mb),
            "limit_seconds": UNIFORM_SECONDS,
            "limit_mb": UNIFORM_MB,
            "holds": ran.seconds <= UNIFORM_SECONDS and ran.peak_mb <= UNIFORM_MB,
        }


def peer(label: np.ndarray, score: np.ndarray, pixel: np.ndarray) -> tuple[list[float], float]:
    """AUCs of the first rounds by scikit-learn, rows weighted as drawn, and the seconds that all rounds would take."""
    resampling = Resampling(pixel, PEER_ROUNDS)
    drawn = np.concatenate([times for _, times in resampling.blocks()])
    started = time.perf_counter()
    aucs = [float(roc_auc_score(label, score, sample_weight=times[resampling.cluster])) for times in drawn]
    return aucs, (time.perf_counter() - started) * ROUNDS / PEER_ROUNDS
