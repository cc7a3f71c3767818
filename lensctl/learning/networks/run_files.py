"""Files of a run folder, and the digest of its weights; without torch, for those who read only its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lensctl.io.provenance import digests

BEST, LAST, RUN, METRICS_JSONL, METRICS_CSV = (
    "best.safetensors",
    "last.safetensors",
    "run.json",
    "metrics.jsonl",
    "metrics.csv",
)
VAL_SCORES = "val_scores.parquet"
"""Scores of the rows of val that thresholds come from, by the weights of BEST."""


def member_folders(folder: Path, members: int) -> list[Path]:
    """Folders with weights: the run folder, or `member-0` etc. for an ensemble."""
    return [folder] if members == 1 else [folder / f"member-{k}" for k in range(members)]


def weights_digest(files: Iterable[Path]) -> str:
    """Digest of the weights file, or of the digests of several."""
    return digest_of_weights([digests.of_file(file) for file in files])


def digest_of_weights(each: Sequence[str]) -> str:
    """Digest of a model from the digests of its members' weights."""
    return each[0] if len(each) == 1 else digests.of_many(each)
