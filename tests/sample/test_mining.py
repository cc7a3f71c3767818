"""Hard negatives leak nothing: train alone, cutout and all, away from all that may be a lens; rounds are told."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lensctl.astro import geometry
from lensctl.io.provenance.steps import Step, chain_of, extend, stamp, step_input
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules import split
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.sample import sample
from tests.toys import catalogs as toys
from tests.toys.manifests import with_rows

POOL = toys.pool(6000)
IDS = POOL["galaxy_id"].to_pylist()
RA, DEC = POOL["ra"].to_numpy(), POOL["dec"].to_numpy()
RULE = split.splits_of(split.healpix(RA, DEC))
LOGIT = np.random.default_rng(5).normal(-3, 2, len(IDS))


def chain(*mined, fold=None):
    """Provenance of scores of a model that was trained on these rounds."""
    steps = ()
    for text in mined:
        steps = extend(Step("sample", {"mined": text}, ()), steps)
    manifest = extend(Step("manifest", {}, tuple(step_input("negatives", "n", "d", (step,)) for step in steps)), steps)
    source = step_input("manifest", "m", "sha256:" + "1" * 64, manifest)
    trained = extend(Step("train", {"fold": fold}, (source,)), manifest)
    return extend(Step("score", {}, (step_input("model", "run", "sha256:" + "5" * 64, trained),)), trained)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a pool, its scores, and one lens at the place of the highest-scored row of train."""
    monkeypatch.chdir(tmp_path)
    write_table(POOL, "pool.parquet")
    write_scores()
    best = int(np.argmax(np.where(RULE == "train", LOGIT, -99)))
    write_table(pa.table({"ra": [RA[best]], "dec": [DEC[best]]}), "lenses.csv")
    return tmp_path


def write_scores(of=None, **made):
    table = pa.table({"galaxy_id": IDS, "logit": LOGIT}) if of is None else of
    write_table(stamp(table, chain(**made) if made else chain()), "scores.parquet", overwrite=True)


def mine(count=60, **options):
    """Draw; the rows and the receipt."""
    options = {"hard": "scores.parquet", "lenses": ["lenses.csv"], "overwrite": True, **options}
    made = sample("pool.parquet", "hard.parquet", count=count, **options)
    return read_table("hard.parquet"), made


def inside(ra, dec, half_arcsec):
    """Whether a whole square of sky is of train, by a grid of points, the slow way."""
    steps = np.linspace(-1, 1, 9) * half_arcsec / 3600
    north, east = (each.ravel() for each in np.meshgrid(steps, steps))
    return (split.splits_of(split.healpix(ra + east / np.cos(np.radians(dec)), dec + north)) == "train").all()


def the_slow_obvious_way(count, apart_ra, apart_dec):
    half = LS_DR10.cutout_arcsec / 2
    found = []
    for row in np.argsort(-LOGIT):
        near = geometry.separation(RA[row], DEC[row], apart_ra, apart_dec) <= 11
        if not near.any() and inside(RA[row], DEC[row], half):
            found.append(IDS[row])
        if len(found) == count:
            return sorted(found)
    raise AssertionError


def test_they_are_the_highest_scored_of_train_away_from_lenses(here):
    lens = read_table("lenses.csv")
    rows, made = mine(60)
    expected = the_slow_obvious_way(60, lens["ra"].to_numpy(), lens["dec"].to_numpy())
    assert rows["galaxy_id"].to_pylist() == expected
    assert set(rows["mined"].to_pylist()) == {"hard 1"}
    assert set(rows["sampling_weight"].to_pylist()) == {1.0}
    assert (made["rows"], made["mined"], made["near_lenses"] >= 1) == (60, "hard 1", True)
    assert made["least_logit"] == min(LOGIT[IDS.index(name)] for name in expected)


def test_no_row_is_outside_train_even_where_the_column_says_so(here):
    """A pool whose column says train everywhere, and scores that are highest in test."""
    write_table(POOL.set_column(POOL.column_names.index("split"), "split", pa.array(["train"] * len(IDS))),
                "pool.parquet", overwrite=True)  # fmt: skip
    write_scores(pa.table({"galaxy_id": IDS, "logit": LOGIT + 50.0 * (RULE != "train")}))
    rows, _ = mine(200)
    assert set(split.splits_of(split.healpix(rows["ra"].to_numpy(), rows["dec"].to_numpy()))) == {"train"}


def test_no_row_is_outside_train_by_the_column_where_the_rule_says_so(here):
    val = pa.array(["val"] * 3 + POOL["split"].to_pylist()[3:])
    write_table(POOL.set_column(POOL.column_names.index("split"), "split", val), "pool.parquet", overwrite=True)
    high = LOGIT.copy()
    high[:3] = 99.0
    write_scores(pa.table({"galaxy_id": IDS, "logit": high}))
    assert not set(mine(50)[0]["galaxy_id"].to_pylist()) & set(IDS[:3])


def at_border():
    """Two places 5 arcsec inside train, the first at a border with another split."""
    for dec in np.linspace(2.1, 5.9, 60):
        ra = np.linspace(150.05, 153.95, 4_000)
        names = split.splits_of(split.healpix(ra, np.full_like(ra, dec)))
        for k in np.flatnonzero((names[:-1] == "train") & (names[1:] != "train")):
            if not inside(ra[k], dec, LS_DR10.cutout_arcsec / 2):
                return float(ra[k]), float(dec)
    raise AssertionError("no border")


def test_no_cutout_reaches_another_split(here):
    ra, dec = at_border()
    pool = with_rows(POOL, [0], ra=ra, dec=dec, healpix_128=int(split.healpix([ra], [dec])[0]), split="train")
    pool = with_rows(pool, [0], brickname=toys.in_bricks(pool.slice(0, 1))["brickname"][0].as_py())
    write_table(pool, "pool.parquet", overwrite=True)
    high = LOGIT.copy()
    high[0] = 99.0
    write_scores(pa.table({"galaxy_id": IDS, "logit": high}))
    rows, made = mine(10)
    assert IDS[0] not in rows["galaxy_id"].to_pylist()
    assert made["at_border"] >= 1


def test_the_fold_of_the_model_that_scored_counts_too(here):
    from lensctl.learning.data.row_selection import Fold

    write_scores(fold="1/4")
    rows, _ = mine(60)
    pixel = split.healpix(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    assert set(Fold.parse("1/4").splits(pixel, split.SEED)) == {"train"}
    assert set(split.splits_of(pixel)) == {"train"}


def top(count):
    return [IDS[row] for row in np.argsort(-np.where(RULE == "train", LOGIT, -99))[:count]]


def test_none_is_or_lies_near_a_candidate(here):
    """By place within 11 arcsec, and by id wherever the candidate's place is."""
    first, second, third = (IDS.index(name) for name in top(4)[1:])
    assert {IDS[first], IDS[second], IDS[third]} <= set(mine(20)[0]["galaxy_id"].to_pylist())
    places = {"ra": [RA[first], 10.0], "dec": [DEC[first] + 0.0029, 0.0]}
    write_table(pa.table({"galaxy_id": ["other", IDS[second]], **places}), "one.parquet")
    write_table(pa.table({"ra": [RA[third]], "dec": [DEC[third]]}), "two.csv")
    rows, made = mine(20, candidates=["one.parquet", "two.csv"])
    assert not {IDS[first], IDS[second], IDS[third]} & set(rows["galaxy_id"].to_pylist())
    assert made["left_out_by_id"] == 1


@pytest.mark.parametrize(("grade", "stays"), [("A", False), ("B", False), ("C", False), ("not", True)])
def test_none_is_or_lies_near_a_galaxy_graded_a_to_c(here, grade, stays):
    """Also where the file of grades has no place: it is looked up in the pool."""
    row = IDS.index(top(2)[1])
    twin = "twin"
    pool = pa.concat_tables([POOL, with_rows(POOL.slice(row, 1), [0], galaxy_id=twin, dec=DEC[row] + 2 / 3600)])
    write_table(pool, "pool.parquet", overwrite=True)
    write_scores(pa.table({"galaxy_id": [*IDS, twin], "logit": [*LOGIT, 30.0]}))
    assert {IDS[row], twin} <= set(mine(20)[0]["galaxy_id"].to_pylist())
    (here / "bare.csv").write_text(f"galaxy_id,grading\n{IDS[row]},{grade}\n")
    (here / "placed.csv").write_text(f"galaxy_id,grading,ra,dec\nelsewhere,{grade},{RA[row]},{DEC[row]}\n")
    for name in ("bare.csv", "placed.csv"):
        found = set(mine(20, grades=[name])[0]["galaxy_id"].to_pylist())
        assert ({IDS[row], twin} <= found) == stays
        assert bool({IDS[row], twin} & found) == stays


def test_what_the_manifest_has_is_not_drawn_again(here):
    known = top(30)[1:]
    write_table(pa.table({"galaxy_id": known}), "manifest.parquet")
    rows, made = mine(20, manifest="manifest.parquet")
    assert not set(known) & set(rows["galaxy_id"].to_pylist())
    assert made["left_out_by_id"] >= 20


def test_the_control_arm_is_as_many_random_rows_of_the_same(here):
    hard, _ = mine(100)
    control, made = mine(100, control=True)
    assert control.num_rows == hard.num_rows
    assert set(control["mined"].to_pylist()) == {"control 1"}
    logit = dict(zip(IDS, LOGIT, strict=True))
    assert abs(np.mean([logit[name] for name in control["galaxy_id"].to_pylist()]) + 3) < 0.8
    assert set(split.splits_of(control["healpix_128"].to_numpy())) == {"train"}
    (weight,) = set(control["sampling_weight"].to_pylist())
    assert weight == pytest.approx((made["drawn_from"] - made["at_border"]) / 100)
    assert mine(100, control=True)[0].equals(control)
    assert not mine(100, control=True, seed=1)[0].equals(control)


def test_a_larger_draw_contains_the_smaller(here):
    for control in (False, True):
        few, many = (set(mine(count, control=control)[0]["galaxy_id"].to_pylist()) for count in (30, 90))
        assert few <= many


@pytest.mark.parametrize(
    ("trained_on", "expected"), [((), "hard 1"), (("hard 1",), "hard 2"), (("hard 1", "control 2"), "hard 2")]
)
def test_the_round_follows_from_what_the_model_was_trained_on(here, trained_on, expected):
    write_table(stamp(pa.table({"galaxy_id": IDS, "logit": LOGIT}), chain(*trained_on)), "scores.parquet",
                overwrite=True)  # fmt: skip
    rows, _ = mine(5)
    assert set(rows["mined"].to_pylist()) == {expected}
    step = chain_of(rows)[-1]
    assert step.parameters["mined"] == expected
    assert [source.role for source in step.inputs] == ["pool", "scores", "lenses"]


def test_a_round_that_was_only_scored_is_not_one_it_was_trained_on(here):
    """Scores of a table of hard negatives, by a model that never saw them."""
    own = chain()
    beside = extend(Step("sample", {"mined": "hard 1"}, ()))
    scored = stamp(pa.table({"galaxy_id": IDS, "logit": LOGIT}), (*beside, *own))
    write_table(scored, "scores.parquet", overwrite=True)
    assert set(mine(5)[0]["mined"].to_pylist()) == {"hard 1"}


def test_the_same_bytes_twice(here):
    mine(40)
    first = (here / "hard.parquet").read_bytes()
    mine(40)
    assert (here / "hard.parquet").read_bytes() == first


def bare_scores():
    write_table(pa.table({"galaxy_id": IDS, "logit": LOGIT}), "scores.parquet", overwrite=True)


def test_what_cannot_be_known_is_refused_in_a_sentence(here):
    before = {path.name for path in here.iterdir()}

    def refused(message, **options):
        with pytest.raises(InputError, match=message):
            mine(**options)

    refused("--hard needs --lenses", lenses=[])
    refused("--hard needs --count", count=None)
    refused("--hard runs on one machine", engine="spark")
    refused(r"--count 99999: [\d,]+ rows of the train split have a score and lie apart", count=99_999)
    (here / "grades.csv").write_text("galaxy_id,grading\nnowhere_1,A\n")
    refused("grades.csv: 1 galaxies graded A to C have no place there or in the pool", grades=["grades.csv"])
    write_scores(pa.table({"galaxy_id": [*IDS, IDS[0]], "logit": [*LOGIT, 1.0]}))
    refused("has two scores")
    write_scores(pa.table({"galaxy_id": IDS, "logit": [float("inf"), *LOGIT[1:]]}))
    refused("column 'logit' is not finite in 1 rows")
    write_scores(pa.table({"galaxy_id": IDS}))
    refused("column 'logit' is missing")
    bare_scores()
    refused("do not say which model made them")
    write_scores()
    moved = POOL.set_column(POOL.column_names.index("healpix_128"), "healpix_128", pc.add(POOL["healpix_128"], 1))
    write_table(moved, "pool.parquet", overwrite=True)
    refused("healpix_128 is not that of ra, dec")
    assert {path.name for path in here.iterdir()} == before | {"grades.csv"}


def test_on_the_command_line(here, lensctl):
    done = lensctl("sample", "pool.parquet", "out.parquet", "--hard", "scores.parquet", "--count", 9, "--lenses",
                   "lenses.csv", cwd=here)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hard 1: 9 of " in done.stderr
    assert "warning: without --candidates and --grades undiscovered lenses may be among them" in done.stderr
    again = lensctl("sample", "pool.parquet", "out.parquet", "--hard", "scores.parquet", "--count", 9, "--lenses",
                    "lenses.csv", cwd=here)  # fmt: skip
    assert (again.returncode, "out.parquet exists" in again.stderr) == (2, True)
