"""`lensctl selection attach`: a selection function with its gates, bound to the frozen model that it is of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.frozen import layout, selection_folder, selection_level, signature
from lensctl.frozen.gate_results import as_text, outdated, read_gate_results
from lensctl.frozen.selection_folder import FACTS, MAKE_AGAIN, SelectionFolder, read_selection
from lensctl.io.paths import Paths, listed
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, extend, from_list, step_input, to_list
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import refuse_existing
from lensctl.io.storage.resumable import whole_folder
from lensctl.rules.checks import GATE_VERSION
from lensctl.rules.errors import InputError
from lensctl.selection.fitting.frozen_model import FrozenModel, read_frozen

if TYPE_CHECKING:
    from lensctl.frozen.signature import PrivateKey

RUN_AGAIN = "lensctl gate realism,selection SELECTION_DIR > gates.jsonl"


def attach(
    frozen: str | Path,
    selection_dir: str | Path,
    out: str | Path,
    *,
    gates: Paths,
    key: str | Path | None = None,
    sign: PrivateKey | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Attach a selection function to the frozen model that it is of: a new folder of the level `selection`.

    The folder has attachment.json, which names both by digest, the selection function's files in selection/,
    gates.jsonl, and SHA256SUMS. The frozen model is left as it is; `lensctl verify` accepts the folder.

    Parameters
    ----------
    frozen, selection_dir, out : path
        Made by `freeze`; made by `selection fit`; folder to create.
    gates : path or paths
        JSON lines of `gate selection` and `gate realism` on `selection_dir`.
    key : path, optional
        Public key (PEM) of the signer of the frozen model.
    sign : PrivateKey, optional
        Signs the folder; from `frozen.signature.private_key`. Without it the same inputs give the same bytes.

    Returns
    -------
    Receipt
        With level, both digests, thresholds, and whether it is signed and of a mock.

    Raises
    ------
    InputError
        A model that does not verify; a selection function of another model, of thresholds that are not its own, or
        changed since the fit; gates of something else, or by which closure was not reached or realism was missed; an
        existing folder.
    """
    refuse_existing(out, overwrite)
    model, source = read_frozen(frozen, key), Path(selection_dir)
    if source.resolve() in Path(out).resolve().parents:
        raise InputError(f"{out}: lies in the folder that is attached", "name a folder elsewhere")
    with whole_folder(out, "selection attach", overwrite) as part:
        facts = fill(model, source, [Path(path) for path in listed(gates)], part, sign=sign)
    if facts["mock"]:
        report.say("the model was trained on a mock survey: this shows that the pipeline works, and nothing of the sky")
    return {
        "command": "selection",
        "action": "attach",
        "output": str(out),
        "level": facts["level"],
        **{name: facts[name] for name in ("model_digest", "frozen_digest", "selection_digest")},
        "thresholds": list(facts["thresholds"]),
        "signed": sign is not None,
        "mock": facts["mock"],
    }


def fill(
    model: FrozenModel, source: Path, gates: Sequence[Path], folder: Path, *, sign: PrivateKey | None = None
) -> dict[str, Any]:
    """Fill an empty folder; returns what attachment.json says.

    What is checked is the copy: nobody can change it between the check and the writing. InputError as `attach`.
    """
    copy(source, folder / layout.SELECTION)
    found = read_selection(folder / layout.SELECTION, str(source))
    refuse_other(found, model)
    refuse_changed(found)
    lines = lines_of(gates, found)
    (folder / layout.GATES).write_text(as_text(lines), encoding="utf-8")
    chain = from_list(found.facts.get("provenance"), f"{source}/{FACTS}")
    inputs = (
        model.source,
        step_input("selection", source, found.digest, chain),
        *(step_input("gates", path.name, digests.of_file(path)) for path in gates),
    )
    step = Step("selection attach", {}, inputs, survey=model.survey)
    names = layout.contents_of(folder).files
    facts = {
        **layout.OF_ATTACHMENT,
        "model": model.where,
        "model_digest": model.digest,
        "frozen_digest": model.source.digest,
        "selection_digest": found.digest,
        "thresholds": found.thresholds,
        "mock": model.mock,
        "provenance": to_list(extend(step, model.chain, chain)),
        "files": {name: layout.sha256(folder / name) for name in names},
    }
    text = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False)
    (folder / layout.ATTACHMENT).write_text(text + "\n", encoding="utf-8")
    names = [*names, layout.ATTACHMENT]
    if sign is not None:
        signature.sign(folder, f"selection function of {model.where}", sign)
        names.append(layout.SIGNATURE)
    layout.seal(folder, sorted(names))
    return facts


def copy(source: Path, folder: Path) -> None:
    """Copy the files of a folder; InputError for anything else in it, or a name that no list of files can hold."""
    if not source.is_dir():
        raise InputError(f"{source}: no such folder", "name a folder of `lensctl selection fit`")
    found = layout.contents_of(source)
    if found.odd:
        raise InputError(f"{source}: {found.odd[0]} is a link or an empty folder", MAKE_AGAIN)
    for name in found.files:
        if not name.isprintable():
            raise InputError(f"{source}: {name!r} is a name that SHA256SUMS cannot hold", MAKE_AGAIN)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)


def refuse_other(found: SelectionFolder, model: FrozenModel) -> None:
    """Raise InputError for a selection function of another model, or at thresholds that are not its own."""
    digest = str(found.facts.get("model_digest"))
    if digest != model.digest:
        raise InputError(
            f"{found.where}: was fitted to another model ({digest[:19]}…), not to {model.where} ({model.digest[:19]}…)",
            f"fit one with --frozen {model.where}",
        )
    if found.exploratory:
        raise InputError(
            f"{found.where}: is exploratory: a threshold was chosen after the model was frozen",
            "fit again with frozen thresholds alone",
        )
    known = {point.name: point.logit for point in model.thresholds}
    for name, logit in found.thresholds.items():
        if known.get(name) != logit:
            raise InputError(
                f"{found.where}: its threshold {name} is logit {logit:g}, but that of {model.where} is "
                f"{known.get(name, 'none')}",
                f"fit again with --frozen {model.where}",
            )


def refuse_changed(found: SelectionFolder) -> None:
    """Raise InputError for files that are not those that selection.json names."""
    for name in found.tables:
        found.table(name)
    for other in selection_folder.changed(found):
        raise InputError(f"{found.where}/{other}: was changed since the fit, or is none of its files", MAKE_AGAIN)


def lines_of(gates: Sequence[Path], found: SelectionFolder) -> list[dict[str, Any]]:
    """Lines of both gates on a selection function; InputError where they do not give it the level."""
    named = ", ".join(str(path) for path in gates)
    lines = [line for path in gates for line in read_gate_results(path)]
    if not lines:
        raise InputError("no gate results given", RUN_AGAIN)
    other = [line for line in lines if line["input_digest"] != found.digest]
    if other:
        raise InputError(
            f"{named}: {len(other)} of {len(lines)} lines are not of {found.where}, such as gate {other[0]['gate']}",
            RUN_AGAIN,
        )
    if old := outdated(lines, selection_level.GATES):
        raise InputError(
            f"{named}: gates judge more than when these lines were written: {', '.join(old)}",
            f"run them again: lines have gate_version {GATE_VERSION} now",
        )
    if short := selection_level.shortfalls(lines, found.digest, found.thresholds):
        raise InputError(
            f"{found.where} has not the level {selection_level.LEVEL}: {'; '.join(short)}",
            "closure must be reached at every threshold (fit those alone with --threshold) and realism not missed",
        )
    return lines
