"""Where scores came from, as their provenance tells: what was judged, whether it is a mock, whether it was altered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, extend, step_input
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.io.provenance.steps import Chain, Input


class Beside(Protocol):
    """Another input of the evaluation."""

    @property
    def source(self) -> Input:
        """What it is."""

    @property
    def chain(self) -> Chain:
        """How it came about."""


def refuse_other_rows(scores: pa.Table, name: str) -> None:
    """Raise InputError where the scores say of some galaxy what the manifest that was scored did not say.

    Scores that tell of no manifest are taken as they are, and so are those of a model of a fold, which splits anew.
    """
    chain = chain_of(scores, name)
    made_by = next((step for step in reversed(chain) if step.command == "score"), None)
    manifest = made_by.input("manifest") if made_by else None
    if manifest is None or any(step.command == "train" and step.parameters.get("fold") for step in chain):
        return
    added = [column for column in scores.column_names if re.fullmatch(r"logit(_\d+)?|p", column)]
    if digests.of_table(scores.drop_columns(added)) != manifest.digest:
        raise InputError(
            f"{name}: labels, splits or other columns disagree with {manifest.name}, the manifest that was scored",
            "score the manifest again, and evaluate the whole of its scores as they are",
        )


def extended(scores: pa.Table, name: str, choices: Mapping[str, Any], beside: Sequence[Beside]) -> Chain:
    """The chain of the scores and of other inputs, and the step of this evaluation."""
    chain = chain_of(scores, name)
    inputs = (step_input("scores", name, digests.of_table(scores), chain), *(other.source for other in beside))
    step = Step("evaluate", choices, inputs)
    return extend(step, *(other.chain for other in beside), chain)


def judged(chain: Chain) -> dict[str, str | None]:
    """Digests of what was judged, as the step that scored recorded them; null for scores that are not ours."""
    source = chain[-1].inputs[0]
    made_by = next((step for step in chain if step.id == source.step and step.command == "score"), None)
    found: dict[str, str | None] = {"scores_digest": source.digest}
    for role in ("manifest", "model"):
        given = made_by.input(role) if made_by else None
        found[f"{role}_digest"] = given.digest if given else None
    return found


def of_mock(chain: Chain, scores: pa.Table) -> bool:
    """Whether a mock survey is among the ancestors, or the rows say so (release, ref)."""
    if any(step.command == "sky" or "mock" in source.name.lower() for step in chain for source in step.inputs):
        return True
    return any(
        "mock" in value.lower()
        for name in ("release", "ref", "survey")
        if name in scores.column_names
        for value in _texts(scores[name].unique().to_pylist())
    )


def _texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values if value is not None]
