"""Freezing: combine a run, its evaluation and its gate results into one verifiable folder."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.frozen import layout, model_card, signature
from lensctl.frozen.gate_results import as_text, missing_or_failed, read_gate_results
from lensctl.frozen.lineage import FIX, lineage_of
from lensctl.io.provenance import digests
from lensctl.io.provenance.environment import installed_versions, source_commit
from lensctl.io.provenance.steps import Input, Step, extend, from_list, step_input, to_list
from lensctl.io.tables.files import read_table
from lensctl.learning.networks import checkpoint, exported_program, predict
from lensctl.learning.networks.golden import NAME, read_golden, write_golden
from lensctl.learning.training import trained_on
from lensctl.learning.training.run_folder import versions
from lensctl.rules.errors import InputError
from lensctl.stats import thresholds

if TYPE_CHECKING:
    from lensctl.frozen.lineage import Lineage
    from lensctl.frozen.signature import PrivateKey
    from lensctl.io.provenance.steps import Chain
    from lensctl.learning.networks.checkpoint import ScoringModel
    from lensctl.learning.networks.golden import Golden
    from lensctl.learning.training.trained_on import Data
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


@dataclass(frozen=True)
class Frozen:
    """The result: digest of the weights, number of members and golden inputs, waived gates."""

    model_digest: str
    members: int
    golden: int
    allowed: tuple[str, ...]
    mock: bool


def freeze(
    run: Path,
    evaluation: Path,
    gates: Sequence[Path],
    folder: Path,
    *,
    allow_failed: str = "",
    data: Data | None = None,
    key: PrivateKey | None = None,
    advance: Callable[[int], None] = lambda rows: None,
) -> Frozen:
    """Fill an empty folder with a frozen model.

    Parameters
    ----------
    run, evaluation : Path
        Folders written by `train` and `evaluate`.
    gates : sequence of Path
        JSON lines files written by `lensctl gate`.
    folder : Path
        Empty.
    allow_failed : str
        Reason for waiving failed or missing gates, which is recorded. Empty: do not waive.
    data : Data, optional
        The training manifest; it and all its cutouts are compared with their state at training.
    key : PrivateKey, optional
        Signs the folder. Without it the output is reproducible byte for byte; a signature differs each time.
    advance : callable
        Called with the number of cutouts just compared.

    Raises
    ------
    InputError
        Broken provenance, an evaluation of other weights or another manifest, a manifest or cutouts that changed since
        training, thresholds not derived from the validation split, or gates that did not pass.
    """
    model = checkpoint.load_model(run)
    evidence = gather(run, model, evaluation)
    lines = [line for path in gates for line in read_gate_results(path)]
    failed = missing_or_failed(lines, gate_digests(evidence))
    if failed and not allow_failed:
        raise InputError(
            f"required gates did not pass: {'; '.join(failed)}",
            "run the gates on the manifest of this run and on this evaluation, or give --allow-failed REASON",
        )
    allowed = {"reason": allow_failed, "gates": failed} if failed else None
    if data is not None:
        trained_on.refuse_changes(data, str(evidence.run["manifest_digest"]), advance)

    inputs = read_golden(run / NAME)
    size = inputs.cutouts.shape[1]
    networks = predict.modules(model, predict.pick_device("cpu"))
    judged = dataclasses.replace(
        inputs, logits=predict.logits(networks, inputs.cutouts, predict.pick_device("cpu"), batch=len(inputs.label))
    )
    sources = checkpoint.member_folders(run, model.card.members)
    for source, target, network in zip(
        sources, checkpoint.member_folders(folder, model.card.members), networks, strict=True
    ):
        target.mkdir(exist_ok=True)
        shutil.copyfile(source / checkpoint.BEST, target / layout.WEIGHTS)
        exported_program.write(network, size, len(model.card.bands), target / layout.PROGRAM)
    splits = None if data is None else trained_on.splits(data.manifest, model.card.fold)
    _write_facts(folder, model, evidence, evaluation, lines, gates, judged, allowed, splits)
    names = layout.expected_files(model.card.members)
    if key is not None:
        signature.sign(folder, model_card.name(model.card.as_dict(), model.digest), key)
        names = sorted([*names, layout.SIGNATURE])
    layout.seal(folder, names)
    return Frozen(model.digest, model.card.members, len(judged.label), tuple(failed), bool(evidence.metrics["mock"]))


def gather(run: Path, model: ScoringModel, evaluation: Path) -> Evidence:
    """Read run and evaluation; InputError if they do not belong together."""
    facts = checkpoint.read_json(run / checkpoint.RUN)
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
    path = evaluation / "tables" / f"{VAL_SCORES}.parquet"
    scores = read_table(str(path))
    if digests.of_table(scores) != metrics["tables"].get(VAL_SCORES, {}).get("digest"):
        raise InputError(f"{path}: modified since the evaluation", "evaluate again")
    label, logit = scores["label"].to_numpy(), scores["logit"].to_numpy()
    targets = [p["target_fpr"] for p in metrics["thresholds"]["points"] if p["target_fpr"] is not None]
    chosen = thresholds.choose(label, logit, targets)
    recorded = [(point["name"], point["logit"]) for point in metrics["thresholds"]["points"]]
    if recorded != [(threshold.name, threshold.logit) for threshold in chosen]:
        raise InputError(f"{where}: thresholds do not match the validation scores", "evaluate again")
    return chosen, {"lenses": thresholds.pack(logit[label == 1]), "others": thresholds.pack(logit[label == 0])}


def _write_facts(
    folder: Path,
    model: ScoringModel,
    evidence: Evidence,
    evaluation: Path,
    lines: list[dict[str, Any]],
    gates: Sequence[Path],
    judged: Golden,
    allowed: dict[str, Any] | None,
    splits: dict[str, Any] | None,
) -> None:
    """Write everything except the weights; frozen.json last, because it lists the other files."""
    shutil.copyfile(evaluation / layout.METRICS, folder / layout.METRICS)
    write_golden(folder / layout.GOLDEN, judged)
    (folder / layout.GATES).write_text(as_text(lines), encoding="utf-8")
    points = [vars(threshold) for threshold in evidence.chosen]
    calibration = evidence.metrics["calibration"]
    checkpoint.write_json(
        folder / layout.THRESHOLDS,
        {
            "split": "val",
            "points": points,
            "calibration": {name: calibration[name] for name in layout.CALIBRATION},
            "val_scores": evidence.val_scores,
        },
    )
    step = Step(
        "freeze",
        {"allow_failed": allowed["reason"] if allowed else "", "manifest_compared": splits is not None},
        (
            Input("model", model.where, model.digest, model.chain[-1].id),
            Input("evaluation", layout.METRICS, evidence.metrics_digest, evidence.chain[-1].id),
            *(step_input("gates", path.name, digests.of_file(path)) for path in gates),
        ),
        survey=model.card.survey,
    )
    checkpoint.write_json(folder / layout.PROVENANCE, to_list(extend(step, evidence.chain)))
    size = judged.cutouts.shape[1]
    card = model.card.as_dict()
    (folder / layout.CARD).write_text(
        model_card.text(card, model.digest, evidence.metrics, points, allowed, size), encoding="utf-8"
    )
    names = [n for n in layout.expected_files(model.card.members) if n not in layout.NOT_IN_FROZEN]
    manifest = evidence.steps.manifest
    checkpoint.write_json(
        folder / layout.FROZEN,
        {
            **layout.CONSTANT,
            "model": card,
            "model_digest": model.digest,
            "manifest_digest": evidence.run["manifest_digest"],
            "scores_digest": evidence.metrics["scores_digest"],
            "metrics_digest": evidence.metrics_digest,
            "made_from": {source.role: source.digest for source in manifest.inputs},
            "pool_digest": evidence.steps.digest("sample", "pool"),
            "splits": splits,
            "config": evidence.run["config"],
            "input": {"shape": ["N", size, size, len(model.card.bands)], "dtype": "float32", "unit": "nanomaggy"},
            "allowed_failures": allowed,
            "mock": evidence.metrics["mock"],
            "source": {"trained": evidence.run.get("source"), "frozen": source_commit()},
            "versions": {"trained": evidence.run["versions"], "frozen": versions()},
            "environment": installed_versions(),
            "computed_on": evidence.run["computed_on"],
            "files": {name: layout.sha256(folder / name) for name in names},
        },
    )
