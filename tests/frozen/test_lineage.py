"""The steps from the pool to an evaluation: one that is missing breaks the chain, a copy does not."""

from __future__ import annotations

import pytest

from lensctl.frozen.lineage import lineage_of
from lensctl.io.provenance.steps import Input, Step, from_list
from lensctl.rules.errors import InputError
from tests.toys import frozen as frozen_toys
from tests.toys.freezing import frozen_of, spoil_metrics


def without_step(metrics, command):
    metrics["provenance"] = [step for step in metrics["provenance"] if step["command"] != command]


@pytest.mark.parametrize("command", ["pool", "sample", "cutout", "manifest", "train", "score", "evaluate"])
def test_a_chain_with_a_step_missing_is_refused(folder, command):
    spoil_metrics(folder, lambda metrics: without_step(metrics, command))
    with pytest.raises(InputError, match="provenance chain is broken"):
        frozen_of(folder)


def test_negatives_that_were_not_sampled_are_refused():
    chain = frozen_toys.chain_to_manifest()
    renamed = tuple(Step("draw", s.parameters, s.inputs) if s.command == "sample" else s for s in chain)
    with pytest.raises(InputError, match="an input of .* is missing"):
        lineage_of(renamed, "toy")


def test_a_copy_on_the_way_does_not_break_the_chain(bundle):
    chain = from_list(frozen_toys.read_metrics(bundle)["provenance"], "toy")
    cutout = next(step for step in chain if step.command == "cutout")
    exported = Step("export", {}, (Input("store", "s.zarr", "sha256:1", cutout.id),))
    steps = []
    renamed = {}
    for step in chain:
        inputs = tuple(
            Input(s.role, s.name, s.digest, renamed.get(s.step, s.step))
            if not (step.command == "manifest" and s.step == cutout.id)
            else Input(s.role, s.name, s.digest, exported.id)
            for s in step.inputs
        )
        again = Step(step.command, step.parameters, inputs)
        renamed[step.id] = again.id
        steps.append(again)
        if step.id == cutout.id:
            steps.append(exported)
    assert lineage_of(tuple(steps), "toy").pool.command == "pool"
