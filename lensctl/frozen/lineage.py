"""The provenance chain from the pool to an evaluation, each step bound to the next by digests."""

from __future__ import annotations

from dataclasses import dataclass

from lensctl.io.provenance.steps import Chain, Input, Step, last_step
from lensctl.rules.errors import InputError

CUTTERS = ("cutout", "pack")
CUTOUTS = ("positives cutouts", "negatives cutouts")
FIX = "create every file from the pool on with lensctl, and do not edit them"


@dataclass(frozen=True)
class Lineage:
    """The steps of an evaluated model that later checks need."""

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
    """The steps behind the last evaluation in a chain.

    Raises
    ------
    InputError
        A step is missing, an input comes from a step that is not in the chain, or two steps used different inputs
        where they must be the same; the message names the gap.
    """
    _refuse_dangling(chain, where)
    evaluate = last_step(chain, "evaluate")
    if evaluate is None:
        raise _broken(where, "there is no evaluate step", "name a folder written by `lensctl evaluate`")
    score = _parent(chain, evaluate, "scores", ("score",), where)
    train = _parent(chain, score, "model", ("train",), where)
    manifest = _parent(chain, train, "manifest", ("manifest",), where)
    if score.input("manifest") != train.input("manifest"):
        trained, scored = (step.input("manifest") for step in (train, score))
        if scored is None or trained is None or (trained.digest, trained.step) != (scored.digest, scored.step):
            raise _broken(where, "the scores are of another manifest than the training", "score the training manifest")
    for role in CUTOUTS:
        _ancestor(chain, manifest, role, CUTTERS, where)
    sample = _ancestor(chain, manifest, "negatives", ("sample",), where)
    pool = _ancestor(chain, sample, "pool", ("pool",), where)
    return Lineage(pool, sample, manifest, train, score, evaluate)


def _refuse_dangling(chain: Chain, where: str) -> None:
    """Raise InputError if an input comes from a step that does not precede it in the chain."""
    seen: set[str] = set()
    for step in chain:
        for source in step.inputs:
            if source.step is not None and source.step not in seen:
                raise _broken(where, f"the step that created '{source.name}', an input of {step.command}, is missing")
        seen.add(step.id)


def _parent(chain: Chain, child: Step, role: str, commands: tuple[str, ...], where: str) -> Step:
    """The step that created an input; it must be one of `commands`."""
    source = child.input(role)
    parent = None if source is None else next((step for step in chain if step.id == source.step), None)
    if parent is None or parent.command not in commands:
        raise _broken(where, f"the {role} of {child.command} were not created by lensctl {' or '.join(commands)}")
    return parent


def _ancestor(chain: Chain, child: Step, role: str, commands: tuple[str, ...], where: str) -> Step:
    """The nearest ancestor of an input that is one of `commands`."""
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
    raise _broken(where, f"the {role} of {child.command} have no {' or '.join(commands)} step in their history")


def _broken(where: str, gap: str, fix: str = FIX) -> InputError:
    return InputError(f"{where}: the provenance chain is broken: {gap}", fix)
