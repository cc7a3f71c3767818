"""Verification of a frozen model: files unmodified, logits and thresholds reproduced."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.frozen import layout, signature, snapshot
from lensctl.frozen.gate_results import REQUIRED_GATES, gate_results, missing_or_failed
from lensctl.frozen.integrity import GATE, check_files, check_signature, guarded
from lensctl.frozen.lineage import Lineage, lineage_of
from lensctl.frozen.threshold_points import format_of, points_of
from lensctl.io.provenance.steps import from_json
from lensctl.learning.networks import checkpoint, exported_program, predict, run_files
from lensctl.learning.networks.golden import golden_of
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
    from lensctl.frozen.snapshot import Snapshot
    from lensctl.learning.networks.checkpoint import ScoringModel
    from lensctl.learning.networks.golden import Golden

KIND = "a frozen model"


def prove(folder: str | Path, *, device: str = "auto", key: PublicKey | None = None) -> Iterator[Check]:
    """Check, one by one, that a frozen model is unchanged.

    Files and signature are checked first; contents are used only if both pass, and are the very bytes that were
    hashed. `model.pt2` is opened only if the signature is by `key`, because opening it can run any code.

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
    if folder.is_file() and folder.name.endswith((".tar.gz", ".tgz", ".zip")):
        unpack = "unzip" if folder.suffix == ".zip" else "tar -xf"
        raise InputError(f"{folder} is an archive", f"unpack it with `{unpack} {folder.name}`, and verify its folder")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "name a folder written by `lensctl freeze`")
    return check_all(snapshot.take(folder), _places(device), key)


def proven(folder: str | Path, *, device: str = "auto", key: str | Path | None = None) -> ScoringModel:
    """Verify a frozen model and load it for scoring; InputError names the first check that failed.

    Only frozen models are accepted; an ordinary run is an error. `key` is the public key, in PEM, of whom it must be
    signed by.
    """
    return proven_with_thresholds(folder, device=device, key=key)[0]


def proven_with_thresholds(
    folder: str | Path, *, device: str = "auto", key: str | Path | None = None
) -> tuple[ScoringModel, list[dict[str, Any]]]:
    """Like `proven`, with the points of its thresholds.json: `name`, `logit` (null where not resolved), `text`, ..."""
    found = proven_snapshot(folder, device=device, key=key)
    return _model(found), list(_json(found, layout.THRESHOLDS)["points"])


def proven_snapshot(folder: str | Path, *, device: str = "auto", key: str | Path | None = None) -> Snapshot:
    """Verify a frozen model and give the files that were verified; InputError as `proven`."""
    folder = Path(folder)
    if not (folder / layout.FROZEN).exists():
        raise InputError(f"{folder}: not a frozen model", "name a folder written by `lensctl freeze`")
    signer = None if key is None else signature.public_key(Path(key))
    places, found = _places(device), snapshot.take(folder)
    for check in check_all(found, places, signer):
        if not check.passed:
            detail = ", ".join(check.offenders) or check.value
            raise InputError(
                f"{folder}: verification failed at '{check.check}' ({detail})", f"see `lensctl verify {folder}`"
            )
    return found


def check_all(found: Snapshot, places: Sequence[torch.device], key: PublicKey | None) -> Iterator[Check]:
    """All checks of a frozen model as it was read."""
    digest = found.digest(layout.SUMS)
    intact = True
    for check in (*check_files(found), *check_signature(found, key)):
        intact = intact and check.passed
        yield check.of(digest)
    for check in guarded(check_listed_files, found, KIND) if intact else ():
        intact = check.passed
        yield check.of(digest)
    if not intact:
        return
    golden = functools.partial(check_golden_logits, places=places, trusted=key is not None)
    for part in (check_consistency, check_thresholds, golden):
        for check in guarded(part, found, KIND):
            yield check.of(digest)


def _model(found: Snapshot) -> ScoringModel:
    return checkpoint.model_of(found.__getitem__, str(found.folder), frozen=True)


def _places(device: str) -> list[torch.device]:
    """Devices on which golden logits are recomputed."""
    chosen = predict.pick_device(device)
    return [predict.pick_device("cpu"), chosen] if device == "auto" and chosen.type != "cpu" else [chosen]


def _json(found: Snapshot, name: str) -> Any:
    return checkpoint.json_of(found[name], f"{found.folder}/{name}")


def check_listed_files(found: Snapshot) -> Iterator[Check]:
    """frozen.json lists the files that a frozen model consists of."""
    facts = _json(found, layout.FROZEN)
    listed, members = set(facts["files"]), int(facts["model"]["members"])
    if not 1 <= members <= len(listed):
        raise ValueError(f"{members} members, but {len(listed)} files")
    optional = sorted(listed & set(layout.OPTIONAL))
    wanted = set(layout.expected_files(members, optional)) - set(layout.NOT_IN_FROZEN)
    yield checks.none(GATE, "it holds what a frozen model holds", sorted(wanted ^ listed), len(wanted))


def check_consistency(found: Snapshot) -> Iterator[Check]:
    """Provenance, digests and gates are consistent with each other."""
    facts = _json(found, layout.FROZEN)
    try:
        chain = from_json(found[layout.PROVENANCE], layout.PROVENANCE)
        steps = lineage_of(chain, layout.PROVENANCE)
    except InputError as error:
        yield Check(GATE, "provenance from the pool to here", False, str(error), offenders=(layout.PROVENANCE,))
        return
    yield Check(GATE, "provenance from the pool to here", True, len(chain), limit="unbroken", n=len(chain))
    last = chain[-1]
    weights = [found.digest(name) for name in _of_members(layout.WEIGHTS, int(facts["model"]["members"]))]
    weights_digest, metrics_digest = run_files.digest_of_weights(weights), found.digest(layout.METRICS)
    recorded = {name: source.digest if (source := last.input(name)) else "" for name in ("model", "evaluation")}
    metrics = _json(found, layout.METRICS)
    pairs = {
        layout.WEIGHTS: (weights_digest, facts.get("model_digest"), recorded["model"], metrics.get("model_digest")),
        layout.METRICS: (metrics_digest, facts.get("metrics_digest"), recorded["evaluation"]),
        "manifest": (facts.get("manifest_digest"), metrics.get("manifest_digest"), steps.digest("train", "manifest")),
        "scores": (facts.get("scores_digest"), metrics.get("scores_digest"), steps.digest("evaluate", "scores")),
        "pool": (facts.get("pool_digest"), steps.digest("sample", "pool")),
        "made_from": (facts.get("made_from"), {source.role: source.digest for source in steps.manifest.inputs}),
        "config": (facts.get("config"), {n: v for n, v in steps.train.parameters.items() if n != "threads"}),
        "model": tuple(tuple(block[name] for name in names) for block, names in _model_and_config(facts)),
        "mock": (facts.get("mock"), metrics.get("mock")),
        "format": (
            (*(facts.get(name) for name in layout.CONSTANT), facts.get("format")),
            (*layout.CONSTANT.values(), format_of(metrics)),
        ),
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
    yield _gates(found, facts, steps)


def _model_and_config(facts: dict[str, Any]) -> tuple[tuple[dict[str, Any], tuple[str, ...]], ...]:
    """Fields of frozen.json that must agree between the `model` and `config` blocks."""
    same = ("arch", "crop", "dropout", "fold")
    return (facts["model"], (*same, "members")), (facts["config"], (*same, "ensemble"))


def _gates(found: Snapshot, facts: dict[str, Any], steps: Lineage) -> Check:
    required = {
        **dict.fromkeys(REQUIRED_GATES, str(facts["manifest_digest"])),
        "pool": steps.digest("sample", "pool"),
        "trained": str(facts["metrics_digest"]),
    }
    failed = missing_or_failed(gate_results(found[layout.GATES], f"{found.folder}/{layout.GATES}"), required)
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


def check_thresholds(found: Snapshot) -> Iterator[Check]:
    """The stored validation scores reproduce the thresholds."""
    where = f"{found.folder.name}/{layout.THRESHOLDS}"
    facts = _json(found, layout.THRESHOLDS)
    lenses, others = (thresholds.unpack(facts["val_scores"][name], where) for name in ("lenses", "others"))
    label = np.repeat([1, 0], [len(lenses), len(others)])
    targets = [point["target_fpr"] for point in facts["points"] if point["target_fpr"] is not None]
    evaluation = _json(found, layout.METRICS)
    chosen = thresholds.choose(label, np.concatenate([lenses, others]), targets, by_format=format_of(evaluation))
    again = points_of(chosen, evaluation)
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


def check_golden_logits(found: Snapshot, places: Sequence[torch.device], *, trusted: bool) -> Iterator[Check]:
    """Weights and, if the folder is of a trusted signer, exported programs reproduce the golden logits everywhere."""
    golden = golden_of(found[layout.GOLDEN], f"{found.folder}/{layout.GOLDEN}")
    model = _model(found)
    programs = _of_members(layout.PROGRAM, model.card.members)
    for place in places:
        yield _reproduced(layout.WEIGHTS, golden, predict.modules(model, place), place)
        if trusted:
            opened = [exported_program.load(found.program(name), f"{found.folder}/{name}") for name in programs]
            yield _reproduced(layout.PROGRAM, golden, [program.to(place) for program in opened], place)
        else:
            note = "opened with --key only"
            yield Check(GATE, _golden_name(layout.PROGRAM, place), True, "not opened", n=0, note=note)


def _reproduced(name: str, golden: Golden, networks: Sequence[nn.Module], place: torch.device) -> Check:
    """Whether the networks of a file give the golden logits."""
    logits = predict.logits(networks, golden.cutouts, place)
    error = np.abs(logits - golden.logits) if logits.shape == golden.logits.shape else np.array([[np.inf]])
    off = np.flatnonzero(~(error <= layout.TOLERANCE).all(axis=1))
    return Check(
        GATE,
        _golden_name(name, place),
        not len(off),
        float(error.max()),
        limit=f"<= {layout.TOLERANCE:g}",
        n=logits.size,
        offenders=tuple(str(golden.galaxy_id[row]) for row in off[:OFFENDERS_SHOWN]),
    )


def _golden_name(name: str, place: torch.device) -> str:
    return f"golden logits of {name} on {place.type}"


def _of_members(name: str, members: int) -> list[str]:
    """The name of a file of every member, relative to the folder."""
    return [(folder / name).as_posix() for folder in run_files.member_folders(Path(), members)]
