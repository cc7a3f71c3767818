"""Provenance of scores: what was scored, whether it is a mock, whether rows were altered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, extend, is_mock, last_step, step_input
from lensctl.rules.columns.results import EMBEDDING
from lensctl.rules.errors import InputError
from lensctl.rules.split import ROLE
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.io.provenance.steps import Chain, Input


class ExtraInput(Protocol):
    """Another input of the evaluation."""

    @property
    def source(self) -> Input:
        """The input."""

    @property
    def chain(self) -> Chain:
        """Its provenance chain."""


def refuse_other_rows(scores: pa.Table, name: str) -> None:
    """Raise InputError if rows of the scores differ from the manifest that was scored.

    Not checked for scores without a manifest in their provenance, or of a model trained on a fold, which has its own
    splits.
    """
    chain = chain_of(scores, name)
    score_step = last_step(chain, "score")
    manifest = score_step.input("manifest") if score_step else None
    if manifest is None or any(step.command == "train" and step.parameters.get("fold") for step in chain):
        return
    added = [column for column in scores.column_names if re.fullmatch(rf"logit(_\d+)?|p|{ROLE}|{EMBEDDING}", column)]
    if digests.of_table(scores.drop_columns(added)) != manifest.digest:
        raise InputError(
            f"{name}: labels, splits or other columns differ from the scored manifest, {manifest.name}",
            "score the manifest again, and evaluate all its scores unmodified",
        )


def extended(
    scores: pa.Table, name: str, choices: Mapping[str, Any], extra: Sequence[ExtraInput], survey: Survey
) -> Chain:
    """The chain of the scores and other inputs, plus the step of this evaluation; all of one survey."""
    chain = chain_of(scores, name)
    inputs = (step_input("scores", name, digests.of_table(scores), chain), *(other.source for other in extra))
    step = Step("evaluate", choices, inputs, survey=survey)
    return extend(step, *(other.chain for other in extra), chain)


def evaluated_digests(chain: Chain) -> dict[str, str | None]:
    """Digests of scores, manifest and model from the score step; None if there is no such step."""
    source = chain[-1].inputs[0]
    score_step = next((step for step in chain if step.id == source.step and step.command == "score"), None)
    found: dict[str, str | None] = {"scores_digest": source.digest}
    for role in ("manifest", "model"):
        score_input = score_step.input(role) if score_step else None
        found[f"{role}_digest"] = score_input.digest if score_input else None
    return found


def of_mock(chain: Chain, scores: pa.Table) -> bool:
    """Whether a mock survey is in the provenance, or the columns (release, ref, survey) say so."""
    if is_mock(chain):
        return True
    return any(
        "mock" in value.lower()
        for name in ("release", "ref", "survey")
        if name in scores.column_names
        for value in _texts(scores[name].unique().to_pylist())
    )


def _texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values if value is not None]
