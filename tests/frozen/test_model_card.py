"""The model card: in the format of Hugging Face, with words for everything, a mock sky first of all."""

from __future__ import annotations

import yaml

from lensctl.frozen import model_card
from lensctl.learning.data import normalise
from tests.toys.freezing import frozen_of, spoil_metrics


def test_the_model_card_is_in_the_format_of_hugging_face(bundle):
    text = (bundle / "frozen" / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["library_name"] == "pytorch"
    (result,) = facts["model-index"][0]["results"]
    assert {"type", "name"} <= set(result["dataset"])
    assert {"type"} <= set(result["task"])
    assert all({"type", "name", "value"} <= set(metric) for metric in result["metrics"])
    names = [metric["name"] for metric in facts["model-index"][0]["results"][0]["metrics"]]
    assert "tier-A recall at p = 0.5" in names
    assert "mock" not in text
    for heading in ("## Input", "## Use", "## Performance", "## Thresholds", "## Limits"):
        assert heading in body


def test_the_card_has_words_for_each_normalisation():
    assert set(model_card.NORMALISED) == set(normalise.KINDS)


def test_the_card_of_a_model_of_a_mock_sky_says_so_first(folder):
    spoil_metrics(folder, lambda metrics: metrics.update(mock=True))
    assert frozen_of(folder).mock
    text = (folder / "out" / "README.md").read_text()
    assert "mock-data" in text
    assert text.index("mock survey") < text.index("returns one logit")
