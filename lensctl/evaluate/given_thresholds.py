"""Thresholds and calibration of a run, a frozen model or an evaluation, to judge another labelled set with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.evaluate import calibrating, tables
from lensctl.frozen import layout, snapshot
from lensctl.frozen.integrity import check_files
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import from_json, from_list, last_step, step_input
from lensctl.io.tables.files import read_table
from lensctl.learning.networks.run_files import BEST, RUN, VAL_SCORES, member_folders, weights_digest
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import InputError
from lensctl.stats import thresholds
from lensctl.stats.calibration import Scaling
from lensctl.stats.thresholds import Threshold

if TYPE_CHECKING:
    from lensctl.io.provenance.steps import Chain, Input


@dataclass(frozen=True)
class Given:
    """Thresholds and scaling chosen on a model's own validation rows, and where they come from."""

    chosen: tuple[Threshold, ...]
    scaling: Scaling | None
    model_digest: str
    source: Input
    chain: Chain

    def refuse_training_rows(self, chain: Chain, name: str) -> None:
        """Raise InputError if the scores are of the manifest that the model was trained on."""
        train = last_step(self.chain, "train")
        trained, judged = (step.input("manifest") if step else None for step in (train, last_step(chain, "score")))
        if trained is not None and judged is not None and trained.digest == judged.digest:
            raise InputError(
                f"{name}: --all-rows would judge the manifest that the model was trained on, {trained.name}",
                "leave --all-rows out, or give scores of an outside set",
            )

    def refuse_other_model(self, chain: Chain, name: str) -> None:
        """Raise InputError if the scores are not known to be of this model, or were made in another way."""
        step = last_step(chain, "score")
        model = step.input("model") if step else None
        if model is None or model.digest != self.model_digest:
            whose = "no model that is known" if model is None else f"another model ({model.digest[:19]}…)"
            raise InputError(
                f"{name}: the scores are of {whose}, the thresholds of {self.source.name} of {self.model_digest[:19]}…",
                "score this set with the model whose thresholds are used",
            )
        ways = ["with" if _by_views(own) else "without" for own in (chain, self.chain)]
        if ways[0] != ways[1]:
            raise InputError(
                f"{name}: scored {ways[0]} --tta, the thresholds of {self.source.name} are of scores {ways[1]} it",
                f"score this set {ways[1]} --tta",
            )


def _by_views(chain: Chain) -> bool:
    """Whether scores are means over rotations and flips; those that a run keeps are not."""
    step = last_step(chain, "score")
    return bool(step and step.parameters.get("tta"))


def read_thresholds(path: str, calibration: str = "platt") -> Given:
    """Read the thresholds of a run, a frozen model or an evaluation.

    Parameters
    ----------
    calibration : str
        One of calibrating.KINDS, for a run; the others have their own.

    Raises
    ------
    InputError
        None of them, one that was changed, or a run that keeps no scores.
    """
    folder = Path(path)
    if (folder / layout.FROZEN).is_file():
        with as_written(path, "see `lensctl verify`"):
            return _of_frozen(folder)
    if (folder / layout.METRICS).is_file():
        with as_written(path, "evaluate again"):
            return _of_evaluation(folder)
    if (folder / RUN).is_file():
        with as_written(path, "train again"):
            return _of_run(folder, calibration)
    raise InputError(
        f"{path}: not a run, a frozen model or an evaluation",
        "name a folder of `lensctl train`, `freeze` or `evaluate`",
    )


def _of_frozen(folder: Path) -> Given:
    """The validation scores that are kept give the thresholds again, by the rule of today; nothing may be modified."""
    found = snapshot.take(folder)
    for check in check_files(found):
        if not check.passed:
            detail = ", ".join(check.offenders) or check.value
            raise InputError(f"{folder}: fails at '{check.check}' ({detail})", f"see `lensctl verify {folder}`")
    facts, kept = json_value(found[layout.FROZEN]), json_value(found[layout.THRESHOLDS])
    where = f"{folder}/{layout.THRESHOLDS}"
    lenses, others = (thresholds.unpack(kept["val_scores"][name], where) for name in ("lenses", "others"))
    chain = from_json(found[layout.PROVENANCE], f"{folder}/{layout.PROVENANCE}")
    label = [1] * len(lenses) + [0] * len(others)
    source = step_input("thresholds", str(folder), found.digest(layout.THRESHOLDS), chain)
    chosen = thresholds.choose(label, [*lenses, *others])
    return Given(chosen, _scaling(kept["calibration"]), str(facts["model_digest"]), source, chain)


def _of_evaluation(folder: Path) -> Given:
    metrics = _json(folder / layout.METRICS)
    kept = metrics["tables"][tables.VAL_SCORES]["digest"]
    scores = read_table(str(folder / "tables" / f"{tables.VAL_SCORES}.parquet"))
    if digests.of_table(scores) != kept:
        raise InputError(f"{folder}: its validation scores were modified since the evaluation", "evaluate again")
    if not metrics["model_digest"]:
        raise InputError(f"{folder}: the evaluation names no model", "evaluate scores of `lensctl score`")
    chain = from_list(metrics["provenance"], str(folder / layout.METRICS))
    source = step_input("thresholds", str(folder), digests.of_file(folder / layout.METRICS), chain)
    chosen = thresholds.choose(scores["label"].to_numpy(), scores["logit"].to_numpy())
    return Given(chosen, _scaling(metrics["calibration"]), str(metrics["model_digest"]), source, chain)


def _of_run(folder: Path, calibration: str) -> Given:
    """The scores that `train` kept are those of the weights that lie beside them, or they are refused."""
    facts = _json(folder / RUN)
    if "val_scores" not in facts:
        raise InputError(
            f"{folder}: this run, made by an older version or not finished, keeps no val scores, from which "
            "thresholds come",
            "name its evaluation or its frozen model",
        )
    kept = str(facts["val_scores"]["digest"])
    members = len(facts.get("members", (folder,)))
    try:
        weights = weights_digest(part / BEST for part in member_folders(folder, members))
    except OSError as error:
        raise InputError(f"{folder}: its weights cannot be read ({error.strerror})", "restore the folder") from error
    scores = read_table(str(folder / VAL_SCORES))
    if weights != facts["model_digest"] or digests.of_table(scores) != kept:
        raise InputError(
            f"{folder}: its val scores are not those of its weights: {VAL_SCORES} or {BEST} was replaced",
            "restore the folder, or name its evaluation or its frozen model",
        )
    chain = from_list(facts["provenance"], str(folder / RUN))
    label, logit = scores["label"].to_numpy(), scores["logit"].to_numpy()
    source = step_input("thresholds", str(folder), kept, chain)
    return Given(thresholds.choose(label, logit), calibrating.fit(label, logit, calibration), weights, source, chain)


def _scaling(kept: dict[str, Any]) -> Scaling | None:
    return None if kept["slope"] is None else Scaling(str(kept["kind"]), float(kept["slope"]), float(kept["bias"]))


def _json(path: Path) -> Any:
    try:
        return json_value(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "is the folder complete?") from error
