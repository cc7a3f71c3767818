"""Freezing: combine a run, its evaluation and its gate results into one verifiable folder."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.freeze import archive as archives
from lensctl.freeze.credit import Credit, read_credit
from lensctl.freeze.evidence import Evidence, gate_digests, gather
from lensctl.frozen import layout, model_card, signature
from lensctl.frozen.gate_results import as_text, missing_or_failed, outdated, read_gate_results
from lensctl.frozen.threshold_points import format_of, points_of
from lensctl.io.cutouts.by_manifest import root_of
from lensctl.io.paths import Paths, listed
from lensctl.io.provenance import digests
from lensctl.io.provenance.environment import installed_versions, source_commit
from lensctl.io.provenance.steps import Input, Step, extend, step_input, to_list
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import refuse_existing, whole_file
from lensctl.io.storage.resumable import whole_folder
from lensctl.io.tables.files import read_table
from lensctl.learning.networks import checkpoint, exported_program, predict, run_files
from lensctl.learning.networks.golden import NAME, read_golden, write_golden
from lensctl.learning.training import trained_on
from lensctl.learning.training.run_folder import versions
from lensctl.learning.training.trained_on import Data
from lensctl.rules.checks import GATE_VERSION
from lensctl.rules.config import as_written
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from lensctl.frozen.signature import PrivateKey
    from lensctl.learning.networks.checkpoint import ScoringModel
    from lensctl.learning.networks.golden import Golden


@dataclass(frozen=True)
class Frozen:
    """The result: digest of the weights, number of members and golden inputs, waived gates."""

    model_digest: str
    members: int
    golden: int
    allowed: tuple[str, ...]
    mock: bool


def freeze(
    run_dir: str | Path,
    frozen_dir: str | Path,
    *,
    evaluation: str | Path,
    gates: Paths,
    allow_failed: str = "",
    manifest: str | Path | None = None,
    root: str | Path | None = None,
    key: PrivateKey | None = None,
    citation: str | Path | None = None,
    licence: str | Path | None = None,
    archive: str | Path | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Freeze a run with its evaluation and gates into a folder.

    Parameters
    ----------
    run_dir, frozen_dir : path
        Made by `train`, and the folder to create.
    evaluation : path
        Made by `evaluate`.
    gates : path or paths
        JSON lines of gates.
    allow_failed : str
        Reason for waiving failed or missing gates.
    manifest : path, optional
        The training manifest: it and all its cutouts are compared with their state at training.
    root : path, optional
        Folder that its `cutout_path` is relative to; default the manifest's.
    key : PrivateKey, optional
        Signs the folder; from `frozen.signature.private_key`.
    citation, licence : path, optional
        CITATION.cff, which names the licence, and the text of the licence: copied into the folder. Both or neither.
    archive : path, optional
        Also write the folder as one file, `.tar.gz` or `.zip`; needs both.

    Returns
    -------
    Receipt
        With digest, members, golden inputs, gates waived, cutouts compared.

    Raises
    ------
    InputError
        See `fill`; an existing folder.
    """
    refuse_existing(str(frozen_dir), overwrite)
    if archive is not None:
        archives.name_within(archive)
        archives.refuse_inside(archive, frozen_dir)
        refuse_existing(archive, overwrite)
    credit = read_credit(citation, licence, needed=archive is not None)
    data = None
    if manifest is not None:
        data = Data(read_table(str(manifest)), root_of(str(manifest), root), str(manifest))
    cutouts = 0 if data is None else data.manifest.num_rows
    with contextlib.ExitStack() as later:
        packed = None if archive is None else later.enter_context(whole_file(archive, overwrite))
        with (
            whole_folder(frozen_dir, "freeze", overwrite) as part,
            report.progress("cutouts compared", cutouts) as advance,
        ):
            frozen = fill(
                Path(run_dir),
                Path(evaluation),
                [Path(path) for path in listed(gates)],
                part,
                allow_failed=allow_failed,
                data=data,
                key=key,
                credit=credit,
                advance=advance,
            )
            if archive is not None and packed is not None:
                archives.pack(part, packed, archive)
    if frozen.mock:
        report.say("the model was trained on a mock survey; its README says so")
    if data is None:
        report.say("manifest and cutouts were not compared with the training data; use --manifest FILE to do so")
    for problem in frozen.allowed:
        report.say(f"waived: {problem}")
    return {
        "command": "freeze",
        "output": str(frozen_dir),
        "model_digest": frozen.model_digest,
        "members": frozen.members,
        "golden": frozen.golden,
        "gates_let_pass": len(frozen.allowed),
        "cutouts_compared": cutouts,
        "signed": key is not None,
        "mock": frozen.mock,
        **({} if archive is None else {"archive": str(archive)}),
    }


def fill(
    run: Path,
    evaluation: Path,
    gates: Sequence[Path],
    folder: Path,
    *,
    allow_failed: str = "",
    data: Data | None = None,
    key: PrivateKey | None = None,
    credit: Credit | None = None,
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
    credit : Credit, optional
        CITATION.cff and LICENSE.
    advance : callable
        Called with the number of cutouts just compared.

    Raises
    ------
    InputError
        Broken provenance, an evaluation of other weights or another manifest, a manifest or cutouts that changed since
        training, thresholds not derived from the validation split, or gates of another version or that did not pass.
    """
    model = checkpoint.load_model(run)
    with as_written(f"{run} or {evaluation}", "train or evaluate again"):
        evidence = gather(run, model, evaluation)
    lines = [line for path in gates for line in read_gate_results(path)]
    if old := outdated(lines):
        raise InputError(
            f"gates judge more than when these lines were written: {', '.join(old)}",
            f"run them again: lines have gate_version {GATE_VERSION} now",
        )
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
    judged = dataclasses.replace(inputs, logits=predict.logits(networks, inputs.cutouts, predict.pick_device("cpu")))
    sources = run_files.member_folders(run, model.card.members)
    for source, target, network in zip(
        sources, run_files.member_folders(folder, model.card.members), networks, strict=True
    ):
        target.mkdir(exist_ok=True)
        shutil.copyfile(source / run_files.BEST, target / layout.WEIGHTS)
        exported_program.write(network, size, len(model.card.bands), target / layout.PROGRAM)
    copies = [part / layout.WEIGHTS for part in run_files.member_folders(folder, model.card.members)]
    if run_files.weights_digest(copies) != model.digest:
        raise InputError(f"{run}: the weights changed while they were frozen", "freeze again once nothing writes there")
    splits = None if data is None else trained_on.splits(data.manifest, model.card.fold)
    with as_written(f"{run} or {evaluation}", "train or evaluate again"):
        _write_facts(folder, model, evidence, evaluation, lines, gates, judged, allowed, splits, credit)
    names = layout.expected_files(model.card.members, tuple(credit.files) if credit else ())
    if key is not None:
        signature.sign(folder, model_card.name(model.card.as_dict(), model.digest), key)
        names = sorted([*names, layout.SIGNATURE])
    layout.seal(folder, names)
    return Frozen(model.digest, model.card.members, len(judged.label), tuple(failed), bool(evidence.metrics["mock"]))


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
    credit: Credit | None,
) -> None:
    """Write everything except the weights; frozen.json last, because it lists the other files."""
    shutil.copyfile(evaluation / layout.METRICS, folder / layout.METRICS)
    if digests.of_file(folder / layout.METRICS) != evidence.metrics_digest:
        raise InputError(f"{evaluation}: the evaluation changed while it was frozen", "freeze again")
    write_golden(folder / layout.GOLDEN, judged)
    (folder / layout.GATES).write_text(as_text(lines), encoding="utf-8")
    points = points_of(evidence.chosen, evidence.metrics)
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
    credited = credit.files if credit else {}
    for name, content in credited.items():
        (folder / name).write_bytes(content)
    step = Step(
        "freeze",
        {"allow_failed": allowed["reason"] if allowed else "", "manifest_compared": splits is not None},
        (
            Input("model", model.where, model.digest, model.chain[-1].id),
            Input("evaluation", layout.METRICS, evidence.metrics_digest, evidence.chain[-1].id),
            *(step_input("gates", path.name, digests.of_file(path)) for path in gates),
            *(Input(name, name, digests.of_file(folder / name)) for name in credited),
        ),
        survey=model.card.survey,
    )
    checkpoint.write_json(folder / layout.PROVENANCE, to_list(extend(step, evidence.chain)))
    size = judged.cutouts.shape[1]
    card = model.card.as_dict()
    (folder / layout.CARD).write_text(
        model_card.text(card, model.digest, evidence.metrics, points, allowed, size, credit.spdx if credit else ""),
        encoding="utf-8",
    )
    names = [n for n in layout.expected_files(model.card.members, tuple(credited)) if n not in layout.NOT_IN_FROZEN]
    manifest = evidence.steps.manifest
    checkpoint.write_json(
        folder / layout.FROZEN,
        {
            **layout.CONSTANT,
            "format": format_of(evidence.metrics),
            "model": card,
            "model_digest": model.digest,
            "manifest_digest": evidence.run["manifest_digest"],
            "scores_digest": evidence.metrics["scores_digest"],
            "metrics_digest": evidence.metrics_digest,
            "made_from": {source.role: source.digest for source in manifest.inputs},
            "pool_digest": evidence.steps.digest("sample", "pool"),
            "splits": splits,
            "config": evidence.run["config"],
            **{name: evidence.run[name] for name in ("init",) if name in evidence.run},
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
