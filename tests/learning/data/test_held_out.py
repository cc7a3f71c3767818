"""What scored rows say of the model that scored them, and of the draw that they are."""

from __future__ import annotations

from lensctl.io.provenance.steps import Step, extend, step_input
from lensctl.learning.data import held_out


def test_the_draw_and_the_pool_are_those_of_what_was_scored_and_not_of_the_model():
    def steps(where, criteria):
        pool = extend(Step("pool", {"criteria": criteria}))
        return extend(Step("sample", {"where": where}, (step_input("pool", "p", "sha256:1", pool),)), pool)

    ours, theirs = steps("split = 'test'", {"a": "mag_z < 20"}), steps(None, {"b": "nobs_z >= 3"})
    sources = (step_input("model", "m", "sha256:2", theirs), step_input("table", "t", "sha256:3", ours))
    chain = extend(Step("score", {}, sources), ours, theirs)
    assert held_out.condition_of_draw(chain) == "split = 'test'"
    assert held_out.criteria_of_pool(chain) == {"a": "mag_z < 20"}
    of_model_alone = extend(Step("score", {}, sources[:1]), theirs)
    assert held_out.condition_of_draw(of_model_alone) is None
    assert held_out.criteria_of_pool(of_model_alone) is None
    assert held_out.model_of(chain) == "sha256:2"
    assert held_out.model_of(ours) is None
