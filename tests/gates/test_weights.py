"""The weights gate holds each row to its tier's weight and its label's tier."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from tests.toys.judging import MANIFEST, failed, judged, pc_label
from tests.toys.manifests import changed, with_rows


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"tier": "A", "sample_weight": 0.5}, "tier A weighs 1"),
        ({"tier": "B", "sample_weight": 1.0}, "tier B weighs 0.3 to 0.6"),
        ({"tier": "B", "sample_weight": 0.29}, "tier B weighs 0.3 to 0.6"),
        ({"tier": "B", "sample_weight": 0.0}, "weight is finite and positive"),
        ({"tier": "B", "sample_weight": -0.5}, "weight is finite and positive"),
        ({"tier": "B", "sample_weight": math.nan}, "weight is finite and positive"),
        ({"tier": "B", "sample_weight": None}, "weight is finite and positive"),
        ({"tier": "A", "sample_weight": math.inf}, "weight is finite and positive"),
        ({"tier": "N1", "sample_weight": 1.0}, "tier fits the label: A, B for 1, N0, N1, N2 for 0"),
        ({"tier": None}, "tier fits the label: A, B for 1, N0, N1, N2 for 0"),
        ({"label": 0, "tier": "N1", "sample_weight": 0.5}, "negatives weigh 1"),
        ({"label": 2}, "label is 0 or 1"),
        ({"label": None}, "label is 0 or 1"),
    ],
)
def test_weights_catches(tmp_path, change, check):
    assert failed(judged(tmp_path, "weights", MANIFEST)) == []
    assert check in failed(judged(tmp_path, "weights", with_rows(MANIFEST, [1], **change)))


def test_weights_allows_the_limits_in_single_precision(tmp_path):
    for weight in (0.3, 0.6):
        table = with_rows(MANIFEST, [1, 2, 3], tier="B", sample_weight=weight)
        table = changed(table, "sample_weight", table["sample_weight"].cast(pa.float32()).combine_chunks())
        assert failed(judged(tmp_path, "weights", table)) == []


@pytest.mark.parametrize("label", [0, 1])
def test_weights_wants_both_classes(tmp_path, label):
    one = MANIFEST.filter(pa.array(pc_label(MANIFEST) == label))
    assert len(failed(judged(tmp_path, "weights", one))) == 1
