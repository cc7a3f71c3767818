"""The model card: in the format of Hugging Face, with words for everything, a mock sky first of all."""

from __future__ import annotations

import json

import pytest
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


def test_the_card_says_what_a_threshold_may_really_do_and_which_rates_have_none(bundle):
    """From 23 negatives it gave a threshold for FPR 1e-4."""
    table = (bundle / "frozen" / "README.md").read_text().split("## Thresholds")[1].split("## Limits")[0]
    rows = {row.split("|")[1].strip(): row for row in table.splitlines() if row.startswith("| ")}
    assert "not resolved: 0.0023 false positives are expected of 23 non-lenses" in rows["FPR = 0.0001"]
    assert "0 of 23: below 0.12 at 95 %; 0.00000 to 0.1" in rows["above all non-lenses"]
    assert "lenses found on validation" in table


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        ({"verdict": "not told"}, "Level mvp: not told."),
        ({"verdict": "missed"}, "Level mvp: missed."),
        ({"passed": True}, "Level mvp: its values meet the limits."),
    ],
)
def test_the_card_says_a_level_in_the_words_of_its_evaluation(judged, words, bundle):
    facts, metrics = (json.loads((bundle / "frozen" / name).read_text()) for name in ("frozen.json", "metrics.json"))
    metrics["levels"]["mvp"] = judged
    for name in ("ece_equal_width", "ece_equal_mass", "ece_positive"):
        if "passed" in judged:  # as 0.1.0 wrote it
            for later in ("floor", "excess", "interval", "why", "text"):
                del metrics["headline"][name][later]
    points = json.loads((bundle / "frozen" / "thresholds.json").read_text())["points"]
    text = model_card.text(facts["model"], facts["model_digest"], metrics, points, None, 41)
    assert words in text
    assert ("excess ECE, bins of equal mass" in text) is ("verdict" in judged)


@pytest.mark.parametrize(
    ("spdx", "facts"),
    [
        ("", {}),
        ("MIT", {"license": "mit"}),
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("GPL-3.0-or-later", {"license": "gpl-3.0"}),
        ("CERN-OHL-P-2.0", {"license": "other", "license_name": "cern-ohl-p-2.0", "license_link": "LICENSE"}),
    ],
)
def test_the_hubs_own_library_reads_the_card_with_its_licence_and_results(bundle, spdx, facts):
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    frozen, metrics = (json.loads((bundle / "frozen" / f"{name}.json").read_text()) for name in ("frozen", "metrics"))
    points = json.loads((bundle / "frozen" / "thresholds.json").read_text())["points"]
    text = model_card.text(frozen["model"], frozen["model_digest"], metrics, points, None, 64, spdx)
    data = hub.ModelCard(text).data
    known = data.to_dict()
    assert {key: value for key, value in known.items() if key.startswith("license")} == facts
    assert ("LICENSE](LICENSE)" in text) == bool(spdx)
    assert data.library_name == "pytorch"
    assert {result.metric_type for result in data.eval_results} >= {"recall", "roc_auc"}
    assert all(result.dataset_name.startswith("manifest ") for result in data.eval_results)
