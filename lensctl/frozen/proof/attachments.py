"""Verification of an attachment: a selection function, unmodified, of the level and the frozen model it claims."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.frozen import layout, selection_folder, selection_level, snapshot
from lensctl.frozen.gate_results import gate_results
from lensctl.frozen.integrity import GATE, check_files, check_signature, guarded
from lensctl.frozen.proof.checks import prove
from lensctl.frozen.selection_folder import SelectionFolder
from lensctl.io.provenance.steps import from_list
from lensctl.rules import checks
from lensctl.rules.checks import OFFENDERS_SHOWN, Check
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from lensctl.frozen.signature import PublicKey
    from lensctl.frozen.snapshot import Snapshot

KIND, COMMAND = "an attachment", "selection attach"


def is_attachment(folder: Path) -> bool:
    """Whether a folder was written by `selection attach`."""
    return (folder / layout.ATTACHMENT).is_file()


def prove_attachment(
    folder: Path, *, device: str = "auto", key: PublicKey | None = None, frozen: str | Path | None = None
) -> Iterator[Check]:
    """Check, one by one, that an attachment is unchanged and has its level.

    Files and signature are checked first; contents are used only if both pass. A change that was made consistently in
    all lists is detected by the signature alone.

    Parameters
    ----------
    folder : Path
    device : str
        Where golden logits of the frozen model are recomputed.
    key : PublicKey, optional
        Key of the expected signer of the attachment.
    frozen : path, optional
        The frozen model that it must be attached to: verified, and compared by digest.

    Yields
    ------
    Check

    Raises
    ------
    InputError
        `frozen` is no folder.
    """
    if frozen is not None and not Path(frozen).is_dir():
        raise InputError(f"{frozen}: no such folder", "name a folder written by `lensctl freeze`")
    found = snapshot.take(folder)
    digest = found.digest(layout.SUMS)
    intact = True
    for check in (*check_files(found, layout.ATTACHMENT), *check_signature(found, key)):
        intact = intact and check.passed
        yield check.of(digest)
    if not intact:
        return
    for check in guarded(check_consistency, found, KIND):
        intact = intact and check.passed
        yield check.of(digest)
    compared = functools.partial(check_frozen, frozen=frozen, device=device)
    for part in (check_level, compared) if intact else (check_level,):
        for check in guarded(part, found, KIND):
            yield check.of(digest)


def check_consistency(found: Snapshot) -> Iterator[Check]:
    """Digests, selection function and provenance are consistent with each other."""
    facts, selection = _facts(found), _selection(found)
    chain = from_list(facts["provenance"], layout.ATTACHMENT)
    last = chain[-1]
    made_of = {name: source.digest if (source := last.input(name)) else "" for name in ("frozen", "selection")}
    pairs: dict[str, tuple[Any, ...]] = {
        "format": ({name: facts.get(name) for name in layout.OF_ATTACHMENT}, dict(layout.OF_ATTACHMENT)),
        "frozen model": (facts["frozen_digest"], made_of["frozen"]),
        "model": (facts["model"], selection.facts["model"]),
        "weights": (facts["model_digest"], selection.facts["model_digest"]),
        "selection function": (found.digest(layout.SELECTION_FACTS), facts["selection_digest"], made_of["selection"]),
        "thresholds": (facts["thresholds"], selection.thresholds),
        "mock": (facts["mock"], selection.facts["mock"]),
        "provenance": (last.command, COMMAND),
    }
    differing = sorted(name for name, values in pairs.items() if any(value != values[0] for value in values))
    yield checks.none(GATE, "frozen model, selection function and steps name each other", differing, len(pairs))
    changed = selection_folder.changed(selection)
    count = len(selection.tables) + len(selection.files)
    yield checks.none(GATE, "tables and files are those of the fit", changed, count)


def check_level(found: Snapshot) -> Iterator[Check]:
    """Its gates say that closure was reached and realism was not missed."""
    selection = _selection(found)
    lines = gate_results(found[layout.GATES], f"{found.folder}/{layout.GATES}")
    short = selection_level.shortfalls(lines, selection.digest, selection.thresholds)
    short += ["exploratory thresholds"] if selection.exploratory else []
    level = selection_level.LEVEL
    word = "missed" if short else level
    yield Check(GATE, "level", not short, word, limit=level, n=len(lines), offenders=tuple(short[:OFFENDERS_SHOWN]))


def check_frozen(found: Snapshot, *, frozen: str | Path | None, device: str) -> Iterator[Check]:
    """It is attached to this frozen model, which verifies; without one, only which it names is reported."""
    facts, name = _facts(found), "the frozen model is the one named"
    if frozen is None:
        note = f"not compared: {facts['model']}, weights {facts['model_digest']}; give it with --frozen"
        yield Check(GATE, name, True, facts["frozen_digest"], note=note)
        return
    made = list(prove(frozen, device=device))
    failed = tuple(check.check for check in made if not check.passed)
    digest = made[0].input_digest
    same = digest == facts["frozen_digest"]
    offenders = failed or (() if same else (Path(frozen).name,))
    yield Check(GATE, name, same and not failed, digest, limit=facts["frozen_digest"], n=1, offenders=offenders)


def _facts(found: Snapshot) -> dict[str, Any]:
    facts = json_value(found[layout.ATTACHMENT])
    if not isinstance(facts, dict):
        raise InputError(f"{found.folder}/{layout.ATTACHMENT}: is no JSON object", "restore the folder")
    return facts


def _selection(found: Snapshot) -> SelectionFolder:
    where = found.folder / layout.SELECTION
    return selection_folder.of_bytes(found[layout.SELECTION_FACTS], where, str(where))
