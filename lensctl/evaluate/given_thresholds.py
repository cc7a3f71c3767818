"""Thresholds and calibration of a frozen model or an evaluation, to judge another labelled set with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.evaluate.tables import VAL_SCORES
from lensctl.frozen import layout, snapshot
from lensctl.frozen.integrity import check_files
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import from_json, from_list, step_input
from lensctl.io.tables.files import read_table
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import InputError
from lensctl.stats import thresholds
from lensctl.stats.calibration import Scaling
from lensctl.stats.thresholds import Threshold

if TYPE_CHECKING:
    from lensctl.io.provenance.steps import Chain, Input, Step


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
        train = next((step for step in reversed(self.chain) if step.command == "train"), None)
        trained, judged = (step.input("manifest") if step else None for step in (train, _score_step(chain)))
        if trained is not None and judged is not None and trained.digest == judged.digest:
            raise InputError(
                f"{name}: --all-rows would judge the manifest that the model was trained on, {trained.name}",
                "leave --all-rows out, or give scores of an outside set",
            )

    def refuse_other_model(self, chain: Chain, name: str) -> None:
        """Raise InputError if the scores are not known to be of this model."""
        step = _score_step(chain)
        model = step.input("model") if step else None
        if model is None or model.digest != self.model_digest:
            whose = "no model that is known" if model is None else f"another model ({model.digest[:19]}…)"
            raise InputError(
                f"{name}: the scores are of {whose}, the thresholds of {self.source.name} of {self.model_digest[:19]}…",
                "score this set with the model whose thresholds are used",
            )


def _score_step(chain: Chain) -> Step | None:
    return next((step for step in reversed(chain) if step.command == "score"), None)


def read_thresholds(path: str) -> Given:
    """Read the thresholds of a frozen model or of an evaluation.

    Raises
    ------
    InputError
        Neither of them, or one that was changed.
    """
    folder = Path(path)
    if (folder / layout.FROZEN).is_file():
        with as_written(path, "see `lensctl verify`"):
            return _of_frozen(folder)
    if (folder / layout.METRICS).is_file():
        with as_written(path, "evaluate again"):
            return _of_evaluation(folder)
    if (folder / "run.json").is_file():
        raise InputError(
            f"{path}: a run keeps no scores of its val split, from which thresholds come",
            "name its evaluation or its frozen model",
        )
    raise InputError(f"{path}: not a frozen model or an evaluation", "name a folder of `lensctl freeze` or `evaluate`")


def _of_frozen(folder: Path) -> Given:
    """The validation scores that are kept give the thresholds again, by the rule of today; nothing may be modified."""
    found = snapshot.take(folder)
    for check in check_files(found):
        if not check.passed:
            detail = ", ".join(check.offenders) or check.value
            raise InputError(f"{folder}: was changed ({check.check}: {detail})", f"see `lensctl verify {folder.name}`")
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
    kept = metrics["tables"][VAL_SCORES]["digest"]
    scores = read_table(str(folder / "tables" / f"{VAL_SCORES}.parquet"))
    if digests.of_table(scores) != kept:
        raise InputError(f"{folder}: its validation scores were modified since the evaluation", "evaluate again")
    if not metrics["model_digest"]:
        raise InputError(f"{folder}: the evaluation names no model", "evaluate scores of `lensctl score`")
    chain = from_list(metrics["provenance"], str(folder / layout.METRICS))
    source = step_input("thresholds", str(folder), digests.of_file(folder / layout.METRICS), chain)
    chosen = thresholds.choose(scores["label"].to_numpy(), scores["logit"].to_numpy())
    return Given(chosen, _scaling(metrics["calibration"]), str(metrics["model_digest"]), source, chain)


def _scaling(kept: dict[str, Any]) -> Scaling | None:
    return None if kept["slope"] is None else Scaling(str(kept["kind"]), float(kept["slope"]), float(kept["bias"]))


def _json(path: Path) -> Any:
    try:
        return json_value(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "is the folder complete?") from error
