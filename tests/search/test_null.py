"""q-values of a search: those of the null's classes and groups; a null that cannot be one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.provenance.steps import stamp
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.search import search
from lensctl.search.known import KnownLenses
from lensctl.search.null import Q_COLUMNS, GivenNull, Searched, read_null, with_q
from lensctl.search.training import Training
from lensctl.stats.false_discovery import Groups, Null
from tests.toys import searches
from tests.toys.folders import folder_digest
from tests.toys.nulls import null_scores

DIGEST = "sha256:" + "7" * 64
ONE = {"root": "sky", "device": "cpu", "workers": 1}
TRAINING = Training(LS_DR10)


def read(*tables: pa.Table, folder: Path, **how) -> GivenNull:
    names = []
    for number, table in enumerate(tables):
        names.append(str(folder / f"null-{number}.parquet"))
        write_table(table, names[-1], overwrite=True)
    options = {"model_digest": DIGEST, "training": TRAINING, "lenses": None, "criteria": {}, "columns": ()}
    return read_null(names, **{**options, **how})[0]


def candidates(logit: list[float], known: list[str | None] | None = None) -> pa.Table:
    return pa.table(
        {"logit": logit, "p": [0.5] * len(logit), "known_lens": pa.array(known or [None] * len(logit), pa.string())}
    )


def given(logit: list[float], category: list[str] | None = None) -> GivenNull:
    null = Null(np.array(logit), np.array(category or [""] * len(logit)))
    return GivenNull(null, Groups(), (), ())


def searched(of: GivenNull, count: int) -> Searched:
    counted = Searched(of, LS_DR10)
    counted.add(pa.table({"ra": np.zeros(count)}))
    return counted


def test_q_is_the_galaxies_searched_times_the_tail_by_the_candidates():
    of = given([0.0] * 98 + [6.0])  # 1 of 99 as high as some candidates
    found, told = with_q(candidates([9.0, 8.0, 7.0, 5.0, 4.0]), of, searched(of, 10))
    assert found.column_names == ["logit", "p", *Q_COLUMNS, "known_lens"]
    tail = 10 / 100
    for name in ("q_random", "q_classes"):
        np.testing.assert_allclose(found[name], [tail / 3, tail / 3, tail / 3, 2 * tail / 5, 2 * tail / 5])
    assert found["q_lookalike"].to_pylist() == [1.0] * 5  # no look-alike is known: all may be false
    assert (told["searched"], told["candidates"]) == (10, 5)
    by_name = {estimate["name"]: estimate for estimate in told["estimates"]}
    assert by_name["q_classes"]["smallest_q"] == pytest.approx(tail / 5)
    assert by_name["q_classes"]["reached"] == [
        {"q": 0.05, "candidates": 5, "at_least": 2},
        {"q": 0.1, "candidates": 5, "at_least": 1},
    ]
    assert by_name["q_lookalike"]["unlike"] == 10


def test_a_known_lens_is_no_discovery():
    of = given([0.0] * 99)
    plain, _ = with_q(candidates([8.0, 7.0]), of, searched(of, 10))
    found, told = with_q(candidates([9.0, 8.0, 7.0], ["L1", None, None]), of, searched(of, 10))
    assert found["q_classes"].to_pylist() == [None, *plain["q_classes"].to_pylist()]
    assert told["candidates"] == 2


def test_without_a_null_candidates_are_as_they_were():
    table = candidates([1.0])
    assert with_q(table, None, None) == (table, None)


def test_no_candidates_have_no_q_and_nothing_is_reached():
    of = given([0.0] * 9)
    found, told = with_q(candidates([]), of, searched(of, 10))
    assert found.num_rows == 0
    assert [estimate["smallest_q"] for estimate in told["estimates"]] == [1.0, 1.0, 1.0]


def test_numbers_of_each_class_are_those_of_the_null_by_weight(tmp_path):
    table = null_scores(DIGEST, 400)
    kind = [("ring_proxy" if k % 4 == 0 else None) for k in range(400)]
    weight = [1.0 if k % 4 == 0 else 33.0 for k in range(400)]  # 1 % of the galaxies
    table = null_scores(
        DIGEST, 400, confuser_category=pa.array(kind, pa.string()), sampling_weight=weight, logit=np.zeros(400)
    )
    of = read(table, folder=tmp_path)
    _, told = with_q(candidates([1.0] * 50), of, searched(of, 1000))
    least = {estimate["name"]: estimate["smallest_q"] * 50 for estimate in told["estimates"]}
    assert least["q_classes"] == pytest.approx(990 / 301 + 10 / 101)
    assert least["q_random"] == pytest.approx(1000 / 301)
    assert least["q_lookalike"] == pytest.approx(1000 / 101)
    assert told["null"]["classes"] == {"none": 300, "ring_proxy": 100}
    assert told["null"]["drawn"] == [
        {"name": "null-0.parquet", "rows": 400, "unscored": 0, "lenses_left_out": 0, "where": "split = 'test'",
         "criteria": {}}
    ]  # fmt: skip


def test_a_galaxy_of_two_draws_is_one_that_stands_for_those_of_both(tmp_path):
    one, two = null_scores(DIGEST, 50), null_scores(DIGEST, 50, seed=6)
    both = read(one, one, two, folder=tmp_path).null
    assert len(both.logit) == 100
    assert sorted(both.weights.tolist()) == [25.0] * 50 + [50.0] * 50


def test_galaxies_are_grouped_by_what_both_have(tmp_path):
    random = np.random.default_rng(0)
    columns = {"flux_z": random.uniform(1, 90, 600), "psfsize_z": random.uniform(0.8, 1.6, 600)}
    table = null_scores(DIGEST, 600, **columns)
    assert read(table, folder=tmp_path).grouped_by == ()
    assert read(table, folder=tmp_path, columns=("flux_z", "ra")).grouped_by == ("flux_z",)
    of = read(table, folder=tmp_path, columns=("flux_z", "psfsize_z"))
    assert of.grouped_by == ("flux_z", "psfsize_z")
    assert np.bincount(of.null.groups).tolist() == pytest.approx([100] * 6, abs=30)
    counted = Searched(of, LS_DR10)
    counted.add(pa.table(columns))
    counted.add(pa.table({"flux_z": pa.array([None, -1.0], pa.float64()), "psfsize_z": [1.0, 1.0]}))
    assert counted.counts.tolist() == [*np.bincount(of.null.groups, minlength=6).tolist(), 2]


def test_rows_without_a_score_and_lenses_are_left_out_and_counted(tmp_path):
    logit = pa.array([None, *[0.0] * 49], pa.float64())
    table = null_scores(DIGEST, 50, logit=logit, label=[0] * 47 + [1] * 3)
    of = read(table, folder=tmp_path)
    assert len(of.null.logit) == 46
    assert (of.drawn[0].unscored, of.drawn[0].lenses_left_out) == (1, 3)


def near_a_lens(table: pa.Table) -> KnownLenses:
    return KnownLenses(("L",), ("A",), ("r",), table["ra"].to_numpy()[:1], table["dec"].to_numpy()[:1])


@pytest.mark.parametrize(
    ("changed", "how", "message"),
    [
        ({"split_name": "train"}, {}, "of 40 rows 40 of split train by the split rule"),
        ({"split_name": "val"}, {}, "of 40 rows 40 of split val by the split rule"),
        ({}, {"training": Training(LS_DR10, None, {"n5_3": "train"})}, "of 40 rows 1 of train or val of a manifest"),
        ({}, {"lenses": near_a_lens(null_scores(DIGEST, 40))}, "of 40 rows 1 within 11 arcsec of a known lens"),
        ({}, {"model_digest": "sha256:" + "8" * 64}, "the scores are of another model (sha256:777777777777…)"),
        (
            {"criteria": {"mag": "mag_z < 20"}},
            {},
            "drawn from a pool of galaxies with mag_z < 20, and what is searched",
        ),
        ({"sampling_weight": [0.0, *[1.0] * 39]}, {}, "sampling_weight of n5_0 is not positive"),
        ({"logit": pa.nulls(40, pa.float64())}, {}, "no row that is no lens has a score"),
        ({"galaxy_id": ["a"] * 40}, {}, "more than one row"),
    ],
)
def test_a_null_that_cannot_be_one_is_refused(tmp_path, changed, how, message):
    with pytest.raises(InputError) as error:
        read(null_scores(DIGEST, 40, **changed), folder=tmp_path, **how)
    assert message in str(error.value)
    assert error.value.fix


@pytest.mark.parametrize("name", ["confuser_category", "sampling_weight", "logit"])
def test_a_null_without_a_column_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=f"'{name}' is missing"):
        read(null_scores(DIGEST, 40).drop_columns([name]), folder=tmp_path)


def test_scores_that_name_no_model_are_refused(tmp_path):
    with pytest.raises(InputError, match="the scores are of no model that is known"):
        read(null_scores(DIGEST, 40).replace_schema_metadata(), folder=tmp_path)


@pytest.fixture
def with_null(here: Path, tiny_network: None) -> Path:
    """A folder with null.parquet: scores by the frozen model, all far below any candidate."""
    digest = json.loads(Path("frozen/frozen.json").read_text())["model_digest"]
    write_table(null_scores(digest, 5000), "null.parquet")
    return here


def test_a_search_with_a_null_writes_q_and_prints_the_smallest(with_null):
    said = search("frozen", "t.parquet", "out", keep=20, lenses="lenses.csv", null="null.parquet", **ONE)
    found, made = read_table("out/candidates.parquet"), searches.summary(Path("out"))
    told = made["false_discovery"]
    assert told["searched"] == said["scored"]
    assert said["smallest_q"] == {estimate["name"]: estimate["smallest_q"] for estimate in told["estimates"]}
    assert 0 < said["smallest_q"]["q_random"] < said["smallest_q"]["q_classes"] < said["smallest_q"]["q_lookalike"] <= 1
    rows = found.to_pylist()
    assert [row["q_classes"] is None for row in rows] == [row["known_lens"] is not None for row in rows]
    q = [row["q_classes"] for row in rows if row["q_classes"] is not None]
    assert q == sorted(q)
    assert q[-1] == pytest.approx(said["smallest_q"]["q_classes"])  # no null galaxy scores as high
    text = Path("out/report.html").read_text()
    assert '<section id="false-discovery">' in text
    assert ", q " in text
    assert "null.parquet: 5000 galaxies, drawn where split = &#39;test&#39;." in text.replace("5,000", "5000")
    inputs = {each["role"] for each in made["provenance"][-1]["inputs"]}
    assert "null" in inputs
    plain = search("frozen", "t.parquet", "plain", keep=20, lenses="lenses.csv", **ONE)
    assert "smallest_q" not in plain
    assert not set(Q_COLUMNS) & set(pq.read_table("plain/candidates.parquet").column_names)
    assert 'id="false-discovery"' not in Path("plain/report.html").read_text()


def test_parts_make_the_same_q(with_null):
    options = {"keep": 20, "null": "null.parquet", **ONE}
    search("frozen", "t.parquet", "found", **options)
    before = folder_digest("found")
    for part in ("2/2", "1/2"):
        search("frozen", "t.parquet", "parts", part=part, **options)
    search("frozen", "t.parquet", "parts", finish=True, **options)
    assert folder_digest("parts") == before


def test_another_null_is_another_search(with_null):
    search("frozen", "t.parquet", "out", null="null.parquet", **ONE)
    table = read_table("null.parquet")
    write_table(stamp(table.slice(1), ()), "other.parquet")
    with pytest.raises(InputError, match="no model that is known"):
        search("frozen", "t.parquet", "out", null="other.parquet", **ONE)
    write_table(table.slice(1), "other.parquet", overwrite=True)
    with pytest.raises(InputError, match="out exists"):
        search("frozen", "t.parquet", "out", null="other.parquet", **ONE)
