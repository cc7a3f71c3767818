"""The folder of a ranking: nothing is said of recall, what is shown can be graded."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.evaluate.report import ranking
from lensctl.evaluate.report.unlabelled import is_unlabelled, ranking_of
from lensctl.rules.errors import InputError
from tests.toys.pages import faults


def scores(count: int = 30) -> pa.Table:
    random = np.random.default_rng(0)
    logit = random.normal(0, 2, count)
    missing = np.arange(count) % 10 == 9
    return pa.table(
        {
            "galaxy_id": [f"1500p020_{i}" for i in range(count)],
            "ra": random.uniform(0, 360, count),
            "dec": random.uniform(-20, 20, count),
            "logit": pa.array(logit, mask=missing),
            "p": pa.array(1 / (1 + np.exp(-logit)), mask=missing),
        }
    )


def test_rows_are_ranked_by_logit_and_those_without_one_are_counted():
    found = ranking_of(scores(), 10)
    assert found.metrics["rows"] == {"scored": 27, "unscored": 3}
    assert found.table["rank"].to_pylist() == list(range(1, 11))
    logits = scores()["logit"].drop_null().to_numpy()
    assert found.table["logit"].to_pylist() == sorted(logits, reverse=True)[:10]
    (point,) = found.metrics["thresholds"]["points"]
    assert point == {"name": "p=0.5", "logit": 0.0, "rows": int((logits >= 0).sum())}
    assert "headline" not in found.metrics


def test_those_who_hear_the_report_or_use_keys_alone_find_everything():
    found = ranking_of(scores(), 10)
    assert faults(ranking.render(found, ["data:,"] * found.table.num_rows)) == []


def test_only_scores_without_any_label_are_unlabelled():
    table = scores()
    assert is_unlabelled(table)
    assert is_unlabelled(table.append_column("label", pa.nulls(30, pa.int8())))
    assert not is_unlabelled(table.append_column("label", pa.array([0] * 29 + [None], pa.int8())))
    assert not is_unlabelled(table.drop_columns(["logit"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["p"]), "column 'p' is missing"),
        (lambda t: pa.concat_tables([t, t.slice(0, 1)]), "more than one row"),
        (lambda t: t.set_column(4, "p", pa.array([0.5] * 30)), "p is not the logistic function of logit"),
        (lambda t: t.set_column(3, "logit", pa.array([float("inf")] * 30)), "p is not the logistic function"),
        (lambda t: t.set_column(0, "galaxy_id", pa.array([None] * 30, pa.string())), "'galaxy_id' is null"),
    ],
)
def test_what_is_no_table_of_scores_is_refused(change, message):
    with pytest.raises(InputError, match=re.escape(message)):
        ranking_of(change(scores()), 5, "s.parquet")


def test_the_folder_is_the_same_bytes_twice_with_and_without_pictures(tmp_path):
    found = ranking_of(scores(), 10)
    images = np.random.default_rng(0).normal(0, 1, (30, 21, 21, 3)).astype(np.float32)
    for name in ("a", "b", "bare"):
        (tmp_path / name).mkdir()
        drawn = ranking.write(
            found, tmp_path / name, None if name == "bare" else lambda rows: images[rows], "no cutouts"
        )
        assert drawn == (0 if name == "bare" else 10)
    for file in ("metrics.json", "report.html", "tables/ranking.parquet", "tables/ranking.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    text = (tmp_path / "a" / "report.html").read_text()
    ids = re.findall(r'<figure class="galaxy" tabindex="0" data-galaxy-id="([^"]+)"', text)
    assert ids == found.table["galaxy_id"].to_pylist()
    assert text.count("data:image/jpeg;base64") == 10
    assert "no recall and no false positive rate" in text
    bare = (tmp_path / "bare" / "report.html").read_text()
    assert "no cutouts" in bare
    assert "image/jpeg" not in bare
    assert json.loads((tmp_path / "a" / "metrics.json").read_text())["schema"] == "lensctl.ranking/1"
    assert pq.read_table(tmp_path / "a" / "tables" / "ranking.parquet").num_rows == 10
