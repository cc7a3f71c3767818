"""The proof that a frozen model is the one: nothing touched, the same logits, the same thresholds."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.doors import digests, frozen, gate_lines, lineage, provenance
from lensctl.learning import checkpoint, export, golden, predict
from lensctl.words import thresholds
from lensctl.words.checks import OFFENDERS_SHOWN, Check
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

GATE = "verify"


def verify(folder: Path, *, device: str = "cpu") -> Iterator[Check]:
    """Check a frozen model.

    Files first: whether any is missing, extra or touched. Only an untouched folder is opened any further.

    Parameters
    ----------
    folder : Path
    device : str
        cpu, cuda or auto: where golden logits are computed again.

    Yields
    ------
    Check

    Raises
    ------
    InputError
        Not a folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "name a folder made by `lensctl freeze`")
    sums_path = folder / frozen.SUMS
    digest = digests.of_file(sums_path) if sums_path.is_file() and not sums_path.is_symlink() else ""
    whole = True
    for check in files(folder):
        whole = whole and check.passed
        yield check.of(digest)
    if not whole:
        return
    place = predict.pick_device(device)
    for part in (claims, same_thresholds, functools.partial(golden_logits, place=place)):
        for check in _answered(part, folder):
            yield check.of(digest)


def _answered(part: Callable[[Path], Iterator[Check]], folder: Path) -> Iterator[Check]:
    """Checks of one part; what cannot even be read in an untouched folder was never frozen by lensctl."""
    try:
        yield from part(folder)
    except (InputError, KeyError, TypeError, ValueError) as error:
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        yield Check(GATE, "content is that of a frozen model", False, what[:200], limit="as frozen", n=1)


def files(folder: Path) -> Iterator[Check]:
    """The files are those that were frozen, each with its content."""
    found = frozen.listing(folder)
    yield _none("neither links nor empty folders", found.odd, len(found.files) + len(found.odd))
    text = _text(folder / frozen.SUMS) if frozen.SUMS in found.files else None
    sums = None if text is None else frozen.parse_sums(text)
    if sums is None:
        note = "it was touched" if frozen.SUMS in found.files else "it is missing"
        yield Check(GATE, "SHA256SUMS can be read", False, note, limit="as written", n=1, offenders=(frozen.SUMS,))
        return
    yield Check(GATE, "SHA256SUMS can be read", True, "as written", limit="as written", n=1)
    there = set(found.files) - {frozen.SUMS}
    own = _own_list(folder)
    unlisted = frozen.FROZEN not in sums  # then it is the sums that were touched
    sealed = frozen.FROZEN in there and (unlisted or sums[frozen.FROZEN] == frozen.sha256(folder / frozen.FROZEN))
    expected = {*own, frozen.FROZEN} if sealed else set(sums)
    yield _none("no file is missing", sorted(expected - there), len(expected))
    yield _none("no file is extra", sorted(there - expected), len(there))
    yield _none("no file was touched", _touched(folder, sums, own, there & expected), len(there) + 1)


def _own_list(folder: Path) -> dict[str, str]:
    """Digests by name, as frozen.json lists them; none where it is missing or was touched so that it cannot be read."""
    try:
        listed = json.loads((folder / frozen.FROZEN).read_bytes())["files"]
        return {str(name): str(digest) for name, digest in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _touched(folder: Path, sums: dict[str, str], own: dict[str, str], names: set[str]) -> list[str]:
    """Files whose content is not what both lists say; of two lists that differ, the one that is wrong is named."""
    found: set[str] = set()
    for name in sorted(names - {frozen.FROZEN}):
        actual = frozen.sha256(folder / name)
        by_sums, by_frozen = sums.get(name) == actual, own.get(name) == actual
        if not by_sums and not by_frozen:
            found.add(name)
        elif not by_sums:
            found.add(frozen.SUMS)
        elif not by_frozen:
            found.add(frozen.FROZEN)
    own_is_there = (folder / frozen.FROZEN).is_file()
    if not found and own_is_there and sums.get(frozen.FROZEN) != frozen.sha256(folder / frozen.FROZEN):
        either = {frozen.FROZEN, frozen.SUMS}  # nothing third tells which, unless one does not know the other
        found = either if frozen.FROZEN in sums else {frozen.SUMS}
    return sorted(found)


def claims(folder: Path) -> Iterator[Check]:
    """What the folder says of itself hangs together: provenance, digests, gates."""
    facts = checkpoint.read_json(folder / frozen.FROZEN)
    broken = ""
    try:
        chain = provenance.from_json((folder / frozen.PROVENANCE).read_bytes(), frozen.PROVENANCE)
        steps = lineage.of(chain, frozen.PROVENANCE)
    except InputError as error:
        broken = str(error)
        yield Check(GATE, "provenance from the pool to here", False, broken, offenders=(frozen.PROVENANCE,))
        return
    yield Check(GATE, "provenance from the pool to here", True, len(chain), limit="unbroken", n=len(chain))
    last = chain[-1]
    weights = [f / frozen.WEIGHTS for f in checkpoint.member_folders(folder, int(facts["model"]["members"]))]
    of_weights, of_metrics = checkpoint.weights_digest(weights), digests.of_file(folder / frozen.METRICS)
    told = {name: source.digest if (source := last.input(name)) else "" for name in ("model", "evaluation")}
    metrics = checkpoint.read_json(folder / frozen.METRICS)
    pairs = {
        frozen.WEIGHTS: (of_weights, facts.get("model_digest"), told["model"], metrics.get("model_digest")),
        frozen.METRICS: (of_metrics, facts.get("metrics_digest"), told["evaluation"]),
        "manifest": (facts.get("manifest_digest"), metrics.get("manifest_digest"), steps.digest("train", "manifest")),
        frozen.PROVENANCE: (last.command, "freeze"),
    }
    odd = sorted(name for name, values in pairs.items() if len(set(values)) > 1)
    yield _none("weights, manifest, evaluation and steps name each other", odd, len(pairs))
    yield _gates(folder, facts, steps)


def _gates(folder: Path, facts: dict[str, Any], steps: lineage.Lineage) -> Check:
    wanted = {
        **dict.fromkeys(gate_lines.REQUIRED, str(facts["manifest_digest"])),
        "pool": steps.digest("sample", "pool"),
        "trained": str(facts["metrics_digest"]),
    }
    failed = gate_lines.problems(gate_lines.read(folder / frozen.GATES), wanted)
    allowed = facts.get("allowed_failures") or {"gates": [], "reason": ""}
    passed = failed == allowed["gates"]
    note = f"let pass, because: {allowed['reason']}" if failed and passed else ""
    return Check(
        GATE,
        "required gates passed, or were let pass",
        passed,
        len(failed),
        limit="as recorded",
        n=len(gate_lines.REQUIRED),
        offenders=tuple(failed[:OFFENDERS_SHOWN]),
        note=note,
    )


def same_thresholds(folder: Path) -> Iterator[Check]:
    """The thresholds come out again from the stored validation scores."""
    where = f"{folder.name}/{frozen.THRESHOLDS}"
    facts = checkpoint.read_json(folder / frozen.THRESHOLDS)
    lenses, others = (thresholds.unpack(facts["val_scores"][name], where) for name in ("lenses", "others"))
    label = np.repeat([1, 0], [len(lenses), len(others)])
    targets = [point["target_fpr"] for point in facts["points"] if point["target_fpr"] is not None]
    again = [vars(t) for t in thresholds.choose(label, np.concatenate([lenses, others]), targets)]
    metrics = checkpoint.read_json(folder / frozen.METRICS)["thresholds"]["points"]
    odd = [p["name"] for p, q in zip(facts["points"], again, strict=False) if p != q]
    odd += [p["name"] for p, q in zip(facts["points"], metrics, strict=False) if p["logit"] != q["logit"]]
    if not len(again) == len(facts["points"]) == len(metrics):
        odd.append("their number")
    yield _none("thresholds are those of the stored scores", sorted(set(odd)), len(label))


def golden_logits(folder: Path, place: torch.device) -> Iterator[Check]:
    """Weights and exported programs give the golden inputs their logits."""
    kept = golden.read(folder / frozen.GOLDEN)
    tolerance = float(checkpoint.read_json(folder / frozen.FROZEN)["golden_tolerance"])
    model = checkpoint.load_model(folder)
    folders = checkpoint.member_folders(folder, model.card.members)
    backends: dict[str, Sequence[nn.Module]] = {
        frozen.WEIGHTS: predict.modules(model, place),
        frozen.PROGRAM: [export.load(f / frozen.PROGRAM).to(place) for f in folders],
    }
    for name, networks in backends.items():
        logits = predict.logits(networks, kept.cutouts, place, batch=len(kept.label))
        apart = np.abs(logits - kept.logits) if logits.shape == kept.logits.shape else np.array([[np.inf]])
        off = np.flatnonzero(~(apart <= tolerance).all(axis=1))
        yield Check(
            GATE,
            f"golden logits of {name}",
            not len(off),
            float(apart.max()),
            limit=f"<= {tolerance:g}",
            n=logits.size,
            offenders=tuple(str(kept.galaxy_id[row]) for row in off[:OFFENDERS_SHOWN]),
        )


def _none(check: str, offenders: list[str], n: int) -> Check:
    return Check(
        GATE,
        check,
        not offenders,
        len(offenders),
        limit="= 0",
        n=n,
        offenders=tuple(offenders[:OFFENDERS_SHOWN]),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
