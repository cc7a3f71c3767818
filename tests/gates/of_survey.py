"""Gates run as `lensctl gate` does: with the settings of the survey that the inputs name."""

from __future__ import annotations

from lensctl.gates import registry
from lensctl.gates.inputs import Inputs


def judge_by_survey(name, *paths, given=(), survey=None):
    gate, inputs = registry.find(name), Inputs([str(path) for path in paths], survey=survey)
    return list(registry.run(gate, inputs, registry.settings_for([gate], given, inputs.survey)[name]))
