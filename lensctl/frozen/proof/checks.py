"""Verification of a frozen model: files unmodified, logits and thresholds reproduced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.frozen import layout, signature
from lensctl.frozen.gate_results import REQUIRED_GATES, missing_or_failed, read_gate_results
from lensctl.frozen.integrity import GATE, check_files
from lensctl.frozen.lineage import Lineage, lineage_of
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import from_json
from lensctl.learning.networks import checkpoint, exported_program, predict
from lensctl.learning.networks.golden import read_golden
from lensctl.rules import checks
from lensctl.rules.checks import OFFENDERS_SHOWN, Check
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.rules.survey_file import text_of_survey
from lensctl.stats import thresholds

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lensctl.frozen.signature import PublicKey
    from lensctl.learning.networks.checkpoint import ScoringModel

SIGNATURE = "signature"


def prove(folder: str | Path, *, device: str = "auto", key: PublicKey | None = None) -> Iterator[Check]:
    """Check, one by one, that a frozen model is unchanged.

    Files and signature are checked first; contents are read only if both pass.

    Without a key this detects every change that was not also made consistently in the file lists and, for weights,
    thresholds or gates, in golden logits, scores and provenance. Only a signature detects such a change.

    Parameters
    ----------
    folder : path
    device : str
        Where golden logits are recomputed: cpu, cuda, or auto (the CPU and, if available, CUDA).
    key : PublicKey, optional
        Key of the expected signer.

    Yields
    ------
    Check

    Raises
    ------
    InputError
        Not a folder; no such device.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "name a folder written by `lensctl freeze`")
    places = _places(device)
    sums_path = folder / layout.SUMS
    digest = digests.of_file(sums_path) if sums_path.is_file() and not sums_path.is_symlink() else ""
    intact = True
    for check in (*check_files(folder), *_check_signature(folder, key)):
        intact = intact and check.passed
        yield check.of(digest)
    for check in _guarded(check_listed_files, folder) if intact else ():
        intact = check.passed
        yield check.of(digest)
    if not intact:
        return
    for part in (check_consistency, check_thresholds, functools.partial(check_golden_logits, places=places)):
        for check in _guarded(part, folder):
            yield check.of(digest)


def proven(folder: str | Path, *, device: str = "auto", key: PublicKey | None = None) -> ScoringModel:
    """Verify a frozen model and load it for scoring; InputError names the first check that failed.

    Only frozen models are accepted; an ordinary run is an error.
    """
    folder = Path(folder)
    if not (folder / layout.FROZEN).exists():
        raise InputError(f"{folder}: not a frozen model", "name a folder written by `lensctl freeze`")
    for check in prove(folder, device=device, key=key):
        if not check.passed:
            detail = ", ".join(check.offenders) or check.value
            raise InputError(
                f"{folder}: verification failed ({check.check}: {detail})", f"see `lensctl verify {folder.name}`"
            )
    return checkpoint.load_model(folder)


def _places(device: str) -> list[torch.device]:
    """Devices on which golden logits are recomputed."""
    chosen = predict.pick_device(device)
    return [predict.pick_device("cpu"), chosen] if device == "auto" and chosen.type != "cpu" else [chosen]


def _check_signature(folder: Path, key: PublicKey | None) -> Iterator[Check]:
    """Check the signature against the key; without a key, only report that there is one."""
    if key is not None:
        verdict = signature.check(folder, key)
        yield Check(
            GATE,
            SIGNATURE,
            verdict.holds,
            verdict.reason,
            limit=f"by {key.path.name}",
            n=verdict.covered,
            offenders=verdict.files[:OFFENDERS_SHOWN],
        )
    elif (folder / layout.SIGNATURE).exists():
        yield Check(GATE, SIGNATURE, True, "not checked", n=0, note="signed; check the signer with --key")


def _guarded(part: Callable[[Path], Iterator[Check]], folder: Path) -> Iterator[Check]:
    """Checks of one part; contents that cannot be read become a failed check."""
    try:
        yield from part(folder)
    except (InputError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        yield Check(GATE, "content is that of a frozen model", False, reason[:200], limit="as frozen", n=1)


def check_listed_files(folder: Path) -> Iterator[Check]:
    """frozen.json lists the files that a frozen model consists of."""
    facts = checkpoint.read_json(folder / layout.FROZEN)
    listed, members = set(facts["files"]), int(facts["model"]["members"])
    if not 1 <= members <= len(listed):
        raise ValueError(f"{members} members, but {len(listed)} files")
    wanted = set(layout.expected_files(members)) - set(layout.NOT_IN_FROZEN)
    yield checks.none(GATE, "it holds what a frozen model holds", sorted(wanted ^ listed), len(wanted))


def check_consistency(folder: Path) -> Iterator[Check]:
    """Provenance, digests and gates are consistent with each other."""
    facts = checkpoint.read_json(folder / layout.FROZEN)
    try:
        chain = from_json((folder / layout.PROVENANCE).read_bytes(), layout.PROVENANCE)
        steps = lineage_of(chain, layout.PROVENANCE)
    except InputError as error:
        yield Check(GATE, "provenance from the pool to here", False, str(error), offenders=(layout.PROVENANCE,))
        return
    yield Check(GATE, "provenance from the pool to here", True, len(chain), limit="unbroken", n=len(chain))
    last = chain[-1]
    weights = [f / layout.WEIGHTS for f in checkpoint.member_folders(folder, int(facts["model"]["members"]))]
    weights_digest, metrics_digest = checkpoint.weights_digest(weights), digests.of_file(folder / layout.METRICS)
    recorded = {name: source.digest if (source := last.input(name)) else "" for name in ("model", "evaluation")}
    metrics = checkpoint.read_json(folder / layout.METRICS)
    pairs = {
        layout.WEIGHTS: (weights_digest, facts.get("model_digest"), recorded["model"], metrics.get("model_digest")),
        layout.METRICS: (metrics_digest, facts.get("metrics_digest"), recorded["evaluation"]),
        "manifest": (facts.get("manifest_digest"), metrics.get("manifest_digest"), steps.digest("train", "manifest")),
        "scores": (facts.get("scores_digest"), metrics.get("scores_digest"), steps.digest("evaluate", "scores")),
        "pool": (facts.get("pool_digest"), steps.digest("sample", "pool")),
        "made_from": (facts.get("made_from"), {source.role: source.digest for source in steps.manifest.inputs}),
        "config": (facts.get("config"), steps.train.parameters),
        "model": tuple(tuple(block[name] for name in names) for block, names in _model_and_config(facts)),
        "mock": (facts.get("mock"), metrics.get("mock")),
        "format": (tuple(facts.get(name) for name in layout.CONSTANT), tuple(layout.CONSTANT.values())),
        "survey": (
            facts["model"].get("survey", LS_DR10.name),
            text_of_survey(last.survey),
            text_of_survey(steps.train.survey),
        ),
        "bands": (facts["model"]["bands"], list(last.survey.bands)),
        layout.PROVENANCE: (last.command, "freeze"),
    }
    differing = sorted(name for name, values in pairs.items() if any(value != values[0] for value in values))
    yield checks.none(GATE, "weights, manifest, evaluation and steps name each other", differing, len(pairs))
    yield _gates(folder, facts, steps)


def _model_and_config(facts: dict[str, Any]) -> tuple[tuple[dict[str, Any], tuple[str, ...]], ...]:
    """Fields of frozen.json that must agree between the `model` and `config` blocks."""
    same = ("arch", "crop", "dropout", "fold")
    return (facts["model"], (*same, "members")), (facts["config"], (*same, "ensemble"))


def _gates(folder: Path, facts: dict[str, Any], steps: Lineage) -> Check:
    required = {
        **dict.fromkeys(REQUIRED_GATES, str(facts["manifest_digest"])),
        "pool": steps.digest("sample", "pool"),
        "trained": str(facts["metrics_digest"]),
    }
    failed = missing_or_failed(read_gate_results(folder / layout.GATES), required)
    allowed = facts.get("allowed_failures") or {"gates": [], "reason": ""}
    passed = failed == allowed["gates"]
    note = f"waived: {allowed['reason']}" if failed and passed else ""
    return Check(
        GATE,
        "required gates passed, or were let pass",
        passed,
        len(failed),
        limit="as recorded",
        n=len(REQUIRED_GATES),
        offenders=tuple(failed[:OFFENDERS_SHOWN]),
        note=note,
    )


def check_thresholds(folder: Path) -> Iterator[Check]:
    """The stored validation scores reproduce the thresholds."""
    where = f"{folder.name}/{layout.THRESHOLDS}"
    facts = checkpoint.read_json(folder / layout.THRESHOLDS)
    lenses, others = (thresholds.unpack(facts["val_scores"][name], where) for name in ("lenses", "others"))
    label = np.repeat([1, 0], [len(lenses), len(others)])
    targets = [point["target_fpr"] for point in facts["points"] if point["target_fpr"] is not None]
    again = [vars(t) for t in thresholds.choose(label, np.concatenate([lenses, others]), targets)]
    evaluation = checkpoint.read_json(folder / layout.METRICS)
    metrics, calibration = evaluation["thresholds"]["points"], evaluation["calibration"]
    differing = [p["name"] for p, q in zip(facts["points"], again, strict=False) if p != q]
    differing += [p["name"] for p, q in zip(facts["points"], metrics, strict=False) if p["logit"] != q["logit"]]
    if not len(again) == len(facts["points"]) == len(metrics):
        differing.append("their number")
    if facts["calibration"] != {name: calibration[name] for name in layout.CALIBRATION}:
        differing.append("calibration")
    if facts["split"] != "val":
        differing.append(f"split {facts['split']}")
    yield checks.none(GATE, "thresholds are those of the stored scores", sorted(set(differing)), len(label))


def check_golden_logits(folder: Path, places: Sequence[torch.device]) -> Iterator[Check]:
    """Weights and exported programs reproduce the golden logits on every device."""
    golden = read_golden(folder / layout.GOLDEN)
    model = checkpoint.load_model(folder)
    programs = [f / layout.PROGRAM for f in checkpoint.member_folders(folder, model.card.members)]
    for place in places:
        backends: dict[str, Sequence[nn.Module]] = {
            layout.WEIGHTS: predict.modules(model, place),
            layout.PROGRAM: [exported_program.load(program).to(place) for program in programs],
        }
        for name, networks in backends.items():
            logits = predict.logits(networks, golden.cutouts, place, batch=len(golden.label))
            error = np.abs(logits - golden.logits) if logits.shape == golden.logits.shape else np.array([[np.inf]])
            off = np.flatnonzero(~(error <= layout.TOLERANCE).all(axis=1))
            yield Check(
                GATE,
                f"golden logits of {name} on {place.type}",
                not len(off),
                float(error.max()),
                limit=f"<= {layout.TOLERANCE:g}",
                n=logits.size,
                offenders=tuple(str(golden.galaxy_id[row]) for row in off[:OFFENDERS_SHOWN]),
            )
