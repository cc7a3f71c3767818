"""Whether the steps from the pool to an evaluation hang together, each bound to the next by digests."""

from __future__ import annotations

from dataclasses import dataclass

from lensctl.io.provenance.steps import Chain, Input, Step
from lensctl.rules.errors import InputError

CUTTERS = ("cutout", "pack")
CUTOUTS = ("positives cutouts", "negatives cutouts")
FIX = "make every file from the pool on with lensctl, and leave its files as they are"


@dataclass(frozen=True)
class Lineage:
    """The steps of an evaluated model that later checks ask for."""

    pool: Step
    sample: Step
    manifest: Step
    train: Step
    score: Step
    evaluate: Step

    def digest(self, step: str, role: str) -> str:
        """Digest of an input of one of the steps."""
        source: Input | None = getattr(self, step).input(role)
        return source.digest if source else ""


def lineage_of(chain: Chain, where: str) -> Lineage:
    """Read a chain that ends with an evaluation.

    Raises
    ------
    InputError
        A step is missing, an input was made by a step that is not there, or two steps took different things for the
        same: the message names the gap.
    """
    _refuse_dangling(chain, where)
    evaluate = next((step for step in reversed(chain) if step.command == "evaluate"), None)
    if evaluate is None:
        raise _broken(where, "there is no evaluate step", "name the folder that `lensctl evaluate` made")
    score = _parent(chain, evaluate, "scores", ("score",), where)
    train = _parent(chain, score, "model", ("train",), where)
    manifest = _parent(chain, train, "manifest", ("manifest",), where)
    if score.input("manifest") != train.input("manifest"):
        ours, theirs = (step.input("manifest") for step in (train, score))
        if theirs is None or ours is None or (ours.digest, ours.step) != (theirs.digest, theirs.step):
            raise _broken(where, "the scores are of another manifest than the one trained on", "score that one")
    for role in CUTOUTS:
        _ancestor(chain, manifest, role, CUTTERS, where)
    sample = _ancestor(chain, manifest, "negatives", ("sample",), where)
    pool = _ancestor(chain, sample, "pool", ("pool",), where)
    return Lineage(pool, sample, manifest, train, score, evaluate)


def _refuse_dangling(chain: Chain, where: str) -> None:
    """Every input that was made by a step has that step before it in the chain."""
    seen: set[str] = set()
    for step in chain:
        for source in step.inputs:
            if source.step is not None and source.step not in seen:
                raise _broken(where, f"the step that made '{source.name}', an input of {step.command}, is not there")
        seen.add(step.id)


def _parent(chain: Chain, child: Step, role: str, commands: tuple[str, ...], where: str) -> Step:
    """The step that made an input; it must be one of some commands."""
    source = child.input(role)
    made_by = None if source is None else next((step for step in chain if step.id == source.step), None)
    if made_by is None or made_by.command not in commands:
        raise _broken(where, f"the {role} of {child.command} were not made by lensctl {' or '.join(commands)}")
    return made_by


def _ancestor(chain: Chain, child: Step, role: str, commands: tuple[str, ...], where: str) -> Step:
    """The nearest step of some commands behind an input, through whatever copied it on the way."""
    source = child.input(role)
    waiting = [source.step] if source else []
    by_id = {step.id: step for step in chain}
    while waiting:
        step = by_id.get(waiting.pop(0) or "")
        if step is None:
            continue
        if step.command in commands:
            return step
        waiting += [source.step for source in step.inputs]
    raise _broken(where, f"no {' or '.join(commands)} step stands behind the {role} of {child.command}")


def _broken(where: str, gap: str, fix: str = FIX) -> InputError:
    return InputError(f"{where}: the provenance chain is broken: {gap}", fix)
