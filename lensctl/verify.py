"""The proof that a frozen model is the one: nothing touched, the same logits, the same thresholds."""

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
from lensctl.stats import thresholds

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lensctl.frozen.signature import PublicKey
    from lensctl.learning.networks.checkpoint import ScoringModel

SIGNATURE = "signature"


def verify(folder: Path, *, device: str = "auto", key: PublicKey | None = None) -> Iterator[Check]:
    """Check a frozen model.

    Files first: whether any is missing, extra or touched, and who signed them. Only a folder that stands both is
    opened any further.

    Without a key this finds every change but one that whoever made it carried through: into the lists of files, and
    for weights, thresholds or gates into golden logits, scores and provenance too. Only a signature finds that one.

    Parameters
    ----------
    folder : Path
    device : str
        cpu, cuda, or auto: the CPU, and CUDA too where there is one. Golden logits are computed again there.
    key : PublicKey, optional
        Who must have signed it.

    Yields
    ------
    Check

    Raises
    ------
    InputError
        Not a folder; no such device.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "name a folder made by `lensctl freeze`")
    places = _places(device)
    sums_path = folder / layout.SUMS
    digest = digests.of_file(sums_path) if sums_path.is_file() and not sums_path.is_symlink() else ""
    whole = True
    for check in (*check_files(folder), *_signed(folder, key)):
        whole = whole and check.passed
        yield check.of(digest)
    for check in _answered(promised, folder) if whole else ():
        whole = check.passed
        yield check.of(digest)
    if not whole:
        return
    for part in (claims, same_thresholds, functools.partial(golden_logits, places=places)):
        for check in _answered(part, folder):
            yield check.of(digest)


def proven(folder: Path, *, device: str = "auto", key: PublicKey | None = None) -> ScoringModel:
    """A frozen model to score with, once it has verified; InputError that says what did not.

    This is how a tool takes a frozen model, and nothing else: a run is refused too.
    """
    if not (folder / layout.FROZEN).exists():
        raise InputError(f"{folder}: not a frozen model", "name a folder made by `lensctl freeze`")
    for check in verify(folder, device=device, key=key):
        if not check.passed:
            which = ", ".join(check.offenders) or check.value
            raise InputError(
                f"{folder}: it does not verify ({check.check}: {which})", f"see `lensctl verify {folder.name}`"
            )
    return checkpoint.load_model(folder)


def _places(device: str) -> list[torch.device]:
    """Where golden logits are computed: what was asked for, or everywhere."""
    chosen = predict.pick_device(device)
    return [predict.pick_device("cpu"), chosen] if device == "auto" and chosen.type != "cpu" else [chosen]


def _signed(folder: Path, key: PublicKey | None) -> Iterator[Check]:
    """It is signed by the one it must be signed by; where nobody is named, whether it is signed is told."""
    if key is not None:
        answer = signature.check(folder, key)
        yield Check(
            GATE,
            SIGNATURE,
            answer.holds,
            answer.reason,
            limit=f"by {key.path.name}",
            n=answer.covered,
            offenders=answer.files[:OFFENDERS_SHOWN],
        )
    elif (folder / layout.SIGNATURE).exists():
        yield Check(GATE, SIGNATURE, True, "not checked", n=0, note="it is signed: see by whom with --key")


def _answered(part: Callable[[Path], Iterator[Check]], folder: Path) -> Iterator[Check]:
    """Checks of one part; what cannot even be read in an untouched folder was never frozen by lensctl."""
    try:
        yield from part(folder)
    except (InputError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError) as error:
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        yield Check(GATE, "content is that of a frozen model", False, what[:200], limit="as frozen", n=1)


def promised(folder: Path) -> Iterator[Check]:
    """The files that were frozen are those of a frozen model."""
    facts = checkpoint.read_json(folder / layout.FROZEN)
    listed, members = set(facts["files"]), int(facts["model"]["members"])
    if not 1 <= members <= len(listed):
        raise ValueError(f"{members} members, and {len(listed)} files")
    wanted = set(layout.expected_files(members)) - set(layout.NOT_IN_FROZEN)
    yield checks.none(GATE, "it holds what a frozen model holds", sorted(wanted ^ listed), len(wanted))


def claims(folder: Path) -> Iterator[Check]:
    """What the folder says of itself hangs together: provenance, digests, gates."""
    facts = checkpoint.read_json(folder / layout.FROZEN)
    broken = ""
    try:
        chain = from_json((folder / layout.PROVENANCE).read_bytes(), layout.PROVENANCE)
        steps = lineage_of(chain, layout.PROVENANCE)
    except InputError as error:
        broken = str(error)
        yield Check(GATE, "provenance from the pool to here", False, broken, offenders=(layout.PROVENANCE,))
        return
    yield Check(GATE, "provenance from the pool to here", True, len(chain), limit="unbroken", n=len(chain))
    last = chain[-1]
    weights = [f / layout.WEIGHTS for f in checkpoint.member_folders(folder, int(facts["model"]["members"]))]
    of_weights, of_metrics = checkpoint.weights_digest(weights), digests.of_file(folder / layout.METRICS)
    told = {name: source.digest if (source := last.input(name)) else "" for name in ("model", "evaluation")}
    metrics = checkpoint.read_json(folder / layout.METRICS)
    pairs = {
        layout.WEIGHTS: (of_weights, facts.get("model_digest"), told["model"], metrics.get("model_digest")),
        layout.METRICS: (of_metrics, facts.get("metrics_digest"), told["evaluation"]),
        "manifest": (facts.get("manifest_digest"), metrics.get("manifest_digest"), steps.digest("train", "manifest")),
        "scores": (facts.get("scores_digest"), metrics.get("scores_digest"), steps.digest("evaluate", "scores")),
        "pool": (facts.get("pool_digest"), steps.digest("sample", "pool")),
        "made_from": (facts.get("made_from"), {source.role: source.digest for source in steps.manifest.inputs}),
        "config": (facts.get("config"), steps.train.parameters),
        "model": tuple(tuple(block[name] for name in names) for block, names in _model_twice(facts)),
        "mock": (facts.get("mock"), metrics.get("mock")),
        "format": (tuple(facts.get(name) for name in layout.CONSTANT), tuple(layout.CONSTANT.values())),
        "bands": (facts["model"]["bands"], list(checkpoint.BANDS)),
        layout.PROVENANCE: (last.command, "freeze"),
    }
    odd = sorted(name for name, values in pairs.items() if any(value != values[0] for value in values))
    yield checks.none(GATE, "weights, manifest, evaluation and steps name each other", odd, len(pairs))
    yield _gates(folder, facts, steps)


def _model_twice(facts: dict[str, Any]) -> tuple[tuple[dict[str, Any], tuple[str, ...]], ...]:
    """Where frozen.json says the same of the network twice: as it is, and as it was asked for."""
    same = ("arch", "crop", "dropout", "fold")
    return (facts["model"], (*same, "members")), (facts["config"], (*same, "ensemble"))


def _gates(folder: Path, facts: dict[str, Any], steps: Lineage) -> Check:
    wanted = {
        **dict.fromkeys(REQUIRED_GATES, str(facts["manifest_digest"])),
        "pool": steps.digest("sample", "pool"),
        "trained": str(facts["metrics_digest"]),
    }
    failed = missing_or_failed(read_gate_results(folder / layout.GATES), wanted)
    allowed = facts.get("allowed_failures") or {"gates": [], "reason": ""}
    passed = failed == allowed["gates"]
    note = f"let pass, because: {allowed['reason']}" if failed and passed else ""
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


def same_thresholds(folder: Path) -> Iterator[Check]:
    """The thresholds come out again from the stored validation scores."""
    where = f"{folder.name}/{layout.THRESHOLDS}"
    facts = checkpoint.read_json(folder / layout.THRESHOLDS)
    lenses, others = (thresholds.unpack(facts["val_scores"][name], where) for name in ("lenses", "others"))
    label = np.repeat([1, 0], [len(lenses), len(others)])
    targets = [point["target_fpr"] for point in facts["points"] if point["target_fpr"] is not None]
    again = [vars(t) for t in thresholds.choose(label, np.concatenate([lenses, others]), targets)]
    judged = checkpoint.read_json(folder / layout.METRICS)
    metrics, calibration = judged["thresholds"]["points"], judged["calibration"]
    odd = [p["name"] for p, q in zip(facts["points"], again, strict=False) if p != q]
    odd += [p["name"] for p, q in zip(facts["points"], metrics, strict=False) if p["logit"] != q["logit"]]
    if not len(again) == len(facts["points"]) == len(metrics):
        odd.append("their number")
    if facts["calibration"] != {name: calibration[name] for name in layout.CALIBRATION}:
        odd.append("calibration")
    if facts["split"] != "val":
        odd.append(f"split {facts['split']}")
    yield checks.none(GATE, "thresholds are those of the stored scores", sorted(set(odd)), len(label))


def golden_logits(folder: Path, places: Sequence[torch.device]) -> Iterator[Check]:
    """Weights and exported programs give the golden inputs their logits, wherever they are computed."""
    kept = read_golden(folder / layout.GOLDEN)
    model = checkpoint.load_model(folder)
    programs = [f / layout.PROGRAM for f in checkpoint.member_folders(folder, model.card.members)]
    for place in places:
        backends: dict[str, Sequence[nn.Module]] = {
            layout.WEIGHTS: predict.modules(model, place),
            layout.PROGRAM: [exported_program.load(program).to(place) for program in programs],
        }
        for name, networks in backends.items():
            logits = predict.logits(networks, kept.cutouts, place, batch=len(kept.label))
            apart = np.abs(logits - kept.logits) if logits.shape == kept.logits.shape else np.array([[np.inf]])
            off = np.flatnonzero(~(apart <= layout.TOLERANCE).all(axis=1))
            yield Check(
                GATE,
                f"golden logits of {name} on {place.type}",
                not len(off),
                float(apart.max()),
                limit=f"<= {layout.TOLERANCE:g}",
                n=logits.size,
                offenders=tuple(str(kept.galaxy_id[row]) for row in off[:OFFENDERS_SHOWN]),
            )
