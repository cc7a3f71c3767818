"""Each draw of `sample` with its own options alone."""

from __future__ import annotations

import pytest

from lensctl.rules.errors import InputError
from lensctl.sample import sample


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "nothing says which negatives to draw"),
        ({"positives": "p.parquet", "hard": "s.parquet"}, "--positives and --hard exclude each other"),
        ({"positives": "p.parquet", "uniform": 5, "strata": "s.csv"}, "--strata belongs to --positives"),
        ({"positives": "p.parquet", "where": "split = 'test'"}, "--where belongs to --uniform, not to --positives"),
        ({"uniform": 5, "strata": "s.csv"}, "--strata belongs to --positives, not to --uniform"),
        ({"uniform": 5, "negatives_per_positive": 5}, "--negatives-per-positive belongs to --positives"),
        ({"uniform": 5, "stratification_bins": ["type=SER"]}, "--stratification-bins belongs to --positives"),
        ({"uniform": 5, "count": 5}, "--count belongs to --hard, not to --uniform"),
        ({"positives": "p.parquet", "control": True}, "--control belongs to --hard"),
        ({"hard": "s.parquet", "uniform": 5}, "--uniform and --hard exclude each other"),
        ({"uniform": 5, "strict": True}, "--strict belongs to --positives"),
    ],
)
def test_an_option_of_another_draw_is_refused(tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        sample(tmp_path / "pool.parquet", tmp_path / "out.parquet", **options)
    assert not list(tmp_path.iterdir())
