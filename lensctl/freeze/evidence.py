"""The evidence behind a frozen model: a run, its evaluation, and whether they belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.frozen import layout
from lensctl.frozen.lineage import FIX, lineage_of
from lensctl.frozen.threshold_points import format_of
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import from_list
from lensctl.io.tables.files import read_table
from lensctl.learning.networks import checkpoint, run_files
from lensctl.rules.errors import InputError
from lensctl.stats import thresholds

if TYPE_CHECKING:
    from lensctl.frozen.lineage import Lineage
    from lensctl.io.provenance.steps import Chain
    from lensctl.learning.networks.checkpoint import ScoringModel
    from lensctl.stats.thresholds import Threshold

VAL_SCORES = "val_scores"
BOUND_TO_MANIFEST = ("splits", "overlap", "pixels", "homogeneity", "weights", "shortcut")


@dataclass(frozen=True)
class Evidence:
    """What a frozen model is based on: run.json, metrics.json, provenance, and the scores behind the thresholds."""

    run: Mapping[str, Any]
    metrics: Mapping[str, Any]
    metrics_digest: str
    chain: Chain
    steps: Lineage
    chosen: tuple[Threshold, ...]
    val_scores: Mapping[str, Any]


def gather(run: Path, model: ScoringModel, evaluation: Path) -> Evidence:
    """Read run and evaluation; InputError if they do not belong together."""
    facts = checkpoint.read_json(run / run_files.RUN)
    if facts.get("kind") != "run" or not facts.get("stopped"):
        raise InputError(f"{run}: not a finished run", "name a folder written by `lensctl train`")
    path = evaluation / layout.METRICS
    metrics = _metrics(path)
    for name, own, whose in (
        ("model_digest", model.digest, "weights"),
        ("manifest_digest", facts.get("manifest_digest"), "manifest"),
    ):
        if metrics[name] != own:
            raise InputError(
                f"{path}: the evaluation is of other weights ({metrics[name]}) than the run's ({own})"
                if whose == "weights"
                else f"{path}: the evaluation is of another manifest ({metrics[name]}) than the run's ({own})",
                f"score and evaluate {run.name} on the manifest it was trained on",
            )
    chain = from_list(metrics["provenance"], str(path))
    steps = lineage_of(chain, str(path))
    _refuse_other_steps(steps, model, str(path))
    if steps.digest("evaluate", "scores") != metrics["scores_digest"]:
        raise InputError(f"{path}: scores_digest does not match the provenance", "evaluate again")
    chosen, val_scores = _thresholds(evaluation, metrics)
    return Evidence(facts, metrics, digests.of_file(path), chain, steps, chosen, val_scores)


def gate_digests(evidence: Evidence) -> dict[str, str]:
    """Required input digest of each gate."""
    manifest = str(evidence.run["manifest_digest"])
    return {
        "pool": evidence.steps.digest("sample", "pool"),
        **dict.fromkeys(BOUND_TO_MANIFEST, manifest),
        "trained": evidence.metrics_digest,
    }


def _metrics(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path.parent}: no {path.name} in this folder", "name a folder written by `lensctl evaluate`")
    found = checkpoint.read_json(path)
    needed = ("model_digest", "manifest_digest", "scores_digest", "thresholds", "headline", "levels", "mock", "tables")
    missing = [name for name in (*needed, "provenance") if not isinstance(found, dict) or name not in found]
    if missing:
        raise InputError(f"{path}: '{missing[0]}' is missing", "evaluate again")
    return dict(found)


def _refuse_other_steps(steps: Lineage, model: ScoringModel, where: str) -> None:
    """Raise InputError if the evaluation is not of these weights or their training run."""
    if not model.chain or steps.train.id != model.chain[-1].id:
        raise InputError(f"{where}: the provenance chain is broken: it contains another training run", FIX)
    if steps.digest("score", "model") != model.digest:
        raise InputError(f"{where}: the scores are from other weights than the run's", "score and evaluate again")


def _thresholds(evaluation: Path, metrics: Mapping[str, Any]) -> tuple[tuple[Threshold, ...], dict[str, Any]]:
    """Thresholds recomputed from the evaluation's validation scores; they must match those in metrics.json."""
    where = evaluation / "metrics.json"
    split = metrics["thresholds"].get("split")
    if split != "val":
        raise InputError(f"{where}: its thresholds were chosen on split '{split}'", "evaluate with lensctl")
    if metrics["thresholds"].get("given_by"):
        raise InputError(
            f"{where}: its thresholds were given by {metrics['thresholds']['given_by']}, not chosen on val",
            "evaluate the scores of the run's manifest without --thresholds",
        )
    path = evaluation / "tables" / f"{VAL_SCORES}.parquet"
    scores = read_table(str(path))
    if digests.of_table(scores) != metrics["tables"].get(VAL_SCORES, {}).get("digest"):
        raise InputError(f"{path}: modified since the evaluation", "evaluate again")
    label, logit = scores["label"].to_numpy(), scores["logit"].to_numpy()
    targets = [p["target_fpr"] for p in metrics["thresholds"]["points"] if p["target_fpr"] is not None]
    chosen = thresholds.choose(label, logit, targets, by_format=format_of(metrics))
    recorded = [(point["name"], point["logit"]) for point in metrics["thresholds"]["points"]]
    if recorded != [(threshold.name, threshold.logit) for threshold in chosen]:
        raise InputError(f"{where}: thresholds do not match the validation scores", "evaluate again")
    return chosen, {"lenses": thresholds.pack(logit[label == 1]), "others": thresholds.pack(logit[label == 0])}
