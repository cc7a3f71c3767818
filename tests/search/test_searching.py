"""The whole search: what cutout and score say, every row once, the same bytes however it was divided."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.cutout import cutout
from lensctl.io.cutouts.store import open_store
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.score import score
from lensctl.search import search
from tests.toys import searches
from tests.toys.folders import folder_digest
from tests.toys.reporters import Saying

pytestmark = pytest.mark.usefixtures("tiny_network")
ONE = {"root": "sky", "device": "cpu", "workers": 1}


@pytest.mark.parametrize("max_empty", [0.05, 1.0])
def test_what_is_cut_and_scored_is_what_cutout_cuts_and_score_scores(here, max_empty):
    said = search("frozen", "t.parquet", "out", max_empty=max_empty, **ONE)
    cutout("t.parquet", "t.zarr", source="coadd", root="sky", workers=1, max_failed=1.0, max_empty=max_empty)
    score("frozen", "t.zarr", "s.parquet", device="cpu")
    wanted, found = pq.read_table("s.parquet").sort_by("galaxy_id"), searches.scores(Path("out"))
    assert found["galaxy_id"].to_pylist() == wanted["galaxy_id"].to_pylist()
    known = [
        row["status"] if row["logit"] is not None or row["status"] != "ok" else "nan_in_crop"
        for row in wanted.to_pylist()
    ]
    assert found["status"].to_pylist() == known
    assert {"ok", "missing_band", "missing_brick", "outside_footprint", "nan_center"} <= set(known)
    assert ("half_empty" in known) == (max_empty < 1)
    ours, theirs = (table["logit"].to_numpy(zero_copy_only=False) for table in (found, wanted))
    assert (np.isnan(ours) == np.isnan(theirs)).all()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert found["error"].to_pylist() == wanted["error"].to_pylist()
    assert said["rows"] == said["scored"] + said["lost"] == wanted.num_rows
    assert sum(said["status"].values()) == said["rows"]


def test_candidates_are_cut_whole_and_scored_again(here):
    search("frozen", "t.parquet", "out", keep=20, lenses="lenses.csv", **ONE)
    found, store = pq.read_table("out/candidates.parquet"), open_store("out/candidates.zarr")
    assert store.size == 101
    everything = searches.scores(Path("out"))
    best = sorted((value for value in everything["logit"].to_pylist() if value is not None), reverse=True)[:20]
    of_ids = dict(zip(everything["galaxy_id"].to_pylist(), everything["logit"].to_pylist(), strict=True))
    members = [id for text in found["members"].to_pylist() for id in text.split("|")]
    assert len(members) == len(set(members)) == 20
    np.testing.assert_allclose(sorted((of_ids[id] for id in members), reverse=True), best, atol=1e-4)
    assert found["logit"].to_pylist() == sorted(found["logit"].to_pylist(), reverse=True)
    assert found["rank"].to_pylist() == list(range(1, found.num_rows + 1))
    assert set(found["status"].to_pylist()) == {"ok"}
    index = store.columns("galaxy_id")["galaxy_id"].to_pylist()
    assert [index[i] for i in found["cutout_index"].to_pylist()] == found["galaxy_id"].to_pylist()
    np.testing.assert_allclose(
        found["logit"].to_numpy(), [of_ids[id] for id in found["galaxy_id"].to_pylist()], atol=1e-4
    )


def test_half_empty_rows_are_flagged_and_lead_nothing(here):
    said = search("frozen", "t.parquet", "out", keep=10_000, **ONE)
    rows = searches.scores(Path("out"))
    half = {row["galaxy_id"] for row in rows.to_pylist() if row["status"] == "half_empty"}
    assert half
    assert said["status"]["half_empty"] == len(half)
    assert said["candidates"] == said["scored"]
    assert not half & {
        id for text in pq.read_table("out/candidates.parquet")["members"].to_pylist() for id in text.split("|")
    }


def test_the_same_search_again_is_up_to_date_and_another_is_refused(here):
    search("frozen", "t.parquet", "out", **ONE)
    before = folder_digest("out")
    again = search("frozen", "t.parquet", "out", **ONE)
    assert "rows" not in again
    for changed in ({"keep": 3}, {"max_empty": 0.5}):
        with pytest.raises(InputError, match="out exists"):
            search("frozen", "t.parquet", "out", **ONE, **changed)
    assert folder_digest("out") == before
    search("frozen", "t.parquet", "out", overwrite=True, **{**ONE, "workers": 2})
    assert folder_digest("out") == before


@pytest.mark.parametrize("parts", [1, 3, 7])
@pytest.mark.parametrize("files", [1, 5])
def test_parts_and_a_finish_make_the_same_bytes(here, parts, files, monkeypatch):
    monkeypatch.setattr("lensctl.io.imaging.streaming.BLOCK_BYTES", 1)  # blocks of 64 rows
    tables = searches.write_tables(here, files) if files > 1 else ["t.parquet"]
    options = {"keep": 30, "lenses": "lenses.csv", "hats": True}
    search("frozen", tables, "whole", **ONE, **options)
    for k in reversed(range(parts)):
        said = search("frozen", tables, "out", part=f"{k + 1}/{parts}", **ONE, **options)
        assert said["part"] == f"{k + 1}/{parts}"
        assert not Path("out").exists()
    search("frozen", tables, "out", finish=True, **ONE, **options)
    whole, out = (tree(Path(name)) for name in ("whole", "out"))
    assert whole.keys() == out.keys()
    named = {"scores/hats.properties"}  # names the catalogue
    assert [name for name in whole if whole[name] != out[name] and name not in named] == []


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_finish_without_all_parts_is_refused_and_what_is_done_is_kept(here, monkeypatch):
    monkeypatch.setattr("lensctl.io.imaging.streaming.BLOCK_BYTES", 1)
    search("frozen", "t.parquet", "out", part="1/3", **ONE)
    with pytest.raises(InputError, match=r"out: 3 of 5 blocks are missing, first 1 of catalogue file 1"):
        search("frozen", "t.parquet", "out", finish=True, **ONE)
    tables = searches.write_tables(here, 3)
    search("frozen", tables, "other", part="1/3", **ONE)
    with pytest.raises(InputError, match="other: 2 of 3 catalogue files have not been searched, first part-1.parquet"):
        search("frozen", tables, "other", finish=True, **ONE)
    for k in (2, 3):
        search("frozen", tables, "other", part=f"{k}/3", **ONE)
    assert search("frozen", tables, "other", finish=True, **ONE)["rows"] == 215


def test_a_part_with_another_model_is_refused(here, tmp_path_factory):
    from tests.toys import frozen

    search("frozen", "t.parquet", "out", part="1/2", **ONE)
    other = frozen.bundle(tmp_path_factory, members=2)
    with pytest.raises(InputError, match="out was started by another run: .*model digest was sha256:"):
        search(other / "frozen", "t.parquet", "out", part="2/2", **ONE)


def test_blocks_that_failed_for_a_passing_reason_are_taken_up_by_a_later_run(here, monkeypatch):
    (here / "sky").unlink()
    shutil.copytree(here.resolve() / "sky" if (here / "sky").exists() else _survey(here), here / "sky")
    brick = next((here / "sky").rglob("1500p020"))
    brick.rename(here / "away")
    assert "missing_brick" in _status(search("frozen", "t.parquet", "out", part="1/1", **ONE))
    (here / "away").rename(brick)
    search("frozen", "t.parquet", "out", part="1/1", **ONE)
    made = search("frozen", "t.parquet", "out", finish=True, **ONE)
    assert made["status"]["missing_brick"] == 5  # of the brick that is nowhere


def _survey(here: Path) -> Path:
    return (here / "t.parquet").resolve().parent / "sky"


def _status(said: dict) -> str:
    parts = Path(".out.part/parts")
    tables = [pa.ipc.open_file(file).read_all() for file in parts.glob("scored-*")]
    return " ".join(text for table in tables for text in table["status"].to_pylist())


def test_ids_in_north_and_south_are_two_galaxies_each_cut_from_its_own_coadds(here):
    (here / "sky").unlink()
    from tests.toys import coadds

    for seed, base in enumerate(("north/coadd", "south/coadd")):
        coadds.make_brick(here / "sky", "1500p020", base=base, seed=seed)
    rows = coadds.objects("1500p020", 6, spread_px=50)
    for region in ("north", "south"):
        (here / region).mkdir()
        write_table(rows, str(here / region / f"{region}.parquet"))
    both = ["north/north.parquet", "south/south.parquet"]
    assert search("frozen", both, "out", keep=12, **ONE)["scored"] == 12
    found = searches.scores(Path("out"))
    logits = np.array(found["logit"].to_pylist()).reshape(2, 6)
    assert found["region"].to_pylist() == ["north"] * 6 + ["south"] * 6
    assert (np.abs(logits[0] - logits[1]) > 1e-6).all()  # other pixels
    alone = search("frozen", both[:1], "alone", keep=12, **ONE)
    assert alone["scored"] == 6
    np.testing.assert_allclose(searches.scores(Path("alone"))["logit"].to_numpy(), logits[0], atol=1e-5)
    leaders = pq.read_table("out/candidates.parquet")
    assert leaders["n_members"].to_pylist() == [2] * 6  # the same place: one system
    column = rows.append_column("region", pa.array(["north"] * 6))
    write_table(pa.concat_tables([column, column.set_column(3, "region", pa.array(["south"] * 6))]), "both.parquet")
    search("frozen", "both.parquet", "columns", keep=12, **ONE)
    assert searches.scores(Path("columns"))["logit"].to_pylist() == pytest.approx(logits.reshape(-1).tolist(), abs=1e-5)


def test_a_row_of_another_region_than_the_coadds_is_not_cut_from_them(here):
    rows = read_table("t.parquet")
    write_table(rows.append_column("region", pa.array(["north"] * rows.num_rows)), "n.parquet")
    with pytest.raises(InputError, match="none of 215 rows could be scored: 215 missing_brick"):
        search("frozen", "n.parquet", "out", **ONE)
    assert not [path for path in here.iterdir() if "out" in path.name]


def changed(name: str, values: object) -> pa.Table:
    table = read_table("t.parquet")
    column = pa.array(values(table[name].to_pylist()))
    return table.set_column(table.column_names.index(name), name, column)


BAD = {
    "a frozen model that was changed": (
        None,
        {"frozen": "spoiled"},
        "verification failed at 'no file was touched' (thresholds",
    ),
    "a run": (None, {"frozen": "run"}, "not a frozen model"),
    "no table": (None, {"tables": "nothing.parquet"}, "nothing.parquet: no such file"),
    "no coadds": (None, {"root": "nowhere"}, "nowhere: no such folder"),
    "no root": (None, {"root": None}, "no folder of coadds is given"),
    "another source": (None, {"source": "viewer"}, "no source 'viewer' to search"),
    "other criteria": (None, {"criteria": "plain"}, "no criteria 'plain' (did you mean 'plan'?)"),
    "columns that criteria need": (None, {"criteria": "plan"}, "t.parquet: columns 'type', 'maskbits', "),
    "no threshold of this name": (None, {"threshold": "fpr=0.5"}, "the model has no threshold 'fpr=0.5'"),
    "no part": (None, {"part": "4/3"}, "'4/3' is not a part"),
    "a part and a finish": (None, {"part": "1/3", "finish": True}, "--part cannot be combined with --finish"),
    "a finish and a dry run": (None, {"finish": True, "dry_run": True}, "--finish cannot be combined with --dry-run"),
    "an id twice": (("galaxy_id", lambda ids: [ids[0], ids[0], *ids[2:]]), {}, "1 values of 'galaxy_id' occur in more"),
    "a position that is none": (
        ("dec", lambda of: [of[0], float("nan"), *of[2:]]),
        {},
        "'dec' is null or NaN in 1 rows, first in row 1",
    ),
    "no degrees": (("ra", lambda of: [ra + 400 for ra in of]), {}, "ra = "),
    "another survey": (None, {"survey": "ls-dr10-griz"}, "the cutouts are of survey ls-dr10-griz"),
    "lenses without positions": (None, {"lenses": "t.csv"}, "'ra', 'dec' are missing"),
    "a manifest without splits": (None, {"manifest": "t.parquet"}, "column 'split' is missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_nothing_is_written(here, bundle, case):
    change, options, message = BAD[case]
    shutil.copytree(bundle / "frozen", here / "spoiled")
    (here / "spoiled" / "thresholds.json").chmod(0o644)
    (here / "spoiled" / "thresholds.json").write_text("{}")
    (here / "run").symlink_to(bundle / "run")
    (here / "t.csv").write_text("a,b\n1,2\n")
    if change:
        write_table(changed(*change), "bad.parquet")
    before = sorted(path.name for path in here.iterdir())
    given = {"frozen": "frozen", "tables": "bad.parquet" if change else "t.parquet", **ONE, **options}
    with pytest.raises(InputError) as error:
        search(given.pop("frozen"), given.pop("tables"), "out", **given)
    assert message in str(error.value)
    assert sorted(path.name for path in here.iterdir()) == before


def test_two_ways_to_say_what_is_kept_are_refused(here):
    with pytest.raises(InputError, match=r"--keep 20 and --threshold fpr=0.01 both say which rows are kept"):
        search("frozen", "t.parquet", "out", keep=20, threshold="fpr=0.01", **ONE)
    assert not Path("out").exists()


def test_a_table_of_another_release_is_refused(here, monkeypatch):
    from lensctl.search import preparing

    rows = read_table("t.parquet")
    write_table(rows.append_column("release", pa.array([9010] * rows.num_rows, pa.int16())), "old.parquet")
    monkeypatch.setattr(preparing.Search, "releases", ("DR10",))
    with pytest.raises(InputError, match=r"old.parquet: rows of DR9, the model was trained on DR10"):
        search("frozen", "old.parquet", "out", **ONE)


def test_a_finish_never_removes_the_parts_that_it_was_to_finish(here):
    search("frozen", "t.parquet", "out", part="1/2", **ONE)
    parts = tree(Path(".out.part"))
    with pytest.raises(InputError, match="--finish cannot be combined with --overwrite"):
        search("frozen", "t.parquet", "out", finish=True, overwrite=True, **ONE)
    assert tree(Path(".out.part")) == parts


def test_rows_that_failed_for_a_reason_that_may_pass_are_told_of_a_part_and_of_what_is_done(here):
    """Otherwise a scheduler's --finish would keep them lost, and nobody would know."""
    heard = Saying()
    said = search("frozen", "t.parquet", "out", part="1/1", report=heard, **ONE)
    failed = said["status"]["missing_brick"]
    told = f"{failed} rows failed for a reason that may pass ({failed} missing_brick): "
    assert failed > 0
    assert heard.said[-1] == f"{told}run this part again before --finish"
    for more in ({"finish": True}, {}):
        heard = Saying()
        search("frozen", "t.parquet", "out", report=heard, **ONE, **more)
        assert heard.said[-1] == f"{told}--overwrite searches everything again"


def test_an_id_twice_in_one_region_is_refused_wherever_on_the_sky(here):
    """In one partition of the sky, and in two."""
    rows = read_table("t.parquet")
    brick = np.array([id.startswith("1500p020") for id in rows["galaxy_id"].to_pylist()])
    one, other = rows.filter(pa.array(brick)).slice(0, 1), rows.filter(pa.array(~brick))
    other = other.filter(pa.array([id.startswith("0000m005") for id in other["galaxy_id"].to_pylist()])).slice(0, 3)
    ids = [one["galaxy_id"][0].as_py(), *other["galaxy_id"].to_pylist()[1:]]
    bricks = [id.partition("_")[0] for id in other["galaxy_id"].to_pylist()]
    other = other.set_column(other.column_names.index("galaxy_id"), "galaxy_id", pa.array(ids))
    write_table(one.append_column("brickname", pa.array(["1500p020"])), "a.parquet")
    write_table(other.append_column("brickname", pa.array(bricks)), "b.parquet")
    with pytest.raises(InputError, match="1500p020_"):
        search("frozen", ["a.parquet", "b.parquet"], "out", **ONE)
    assert not Path("out").exists()


def test_a_dry_run_counts_a_brick_of_two_files_once(here):
    rows = read_table("t.parquet")
    for name, start in (("a", 0), ("b", rows.num_rows // 2)):
        write_table(rows.slice(start, rows.num_rows // 2), f"{name}.parquet")
    assert search("frozen", ["a.parquet", "b.parquet"], "out", dry_run=True, **ONE)["bricks"] == 4


def test_a_threshold_keeps_all_rows_that_reach_it(here):
    said = search("frozen", "t.parquet", "out", threshold="p=0.5", **ONE)
    rows = searches.scores(Path("out"))
    above = [
        id
        for id, logit in zip(rows["galaxy_id"].to_pylist(), rows["logit"].to_pylist(), strict=True)
        if (logit or -1) >= 0
    ]
    members = [id for text in pq.read_table("out/candidates.parquet")["members"].to_pylist() for id in text.split("|")]
    assert sorted(members) == sorted(above)
    assert said["candidates"] == len(above)
    point = next(t for t in searches.summary(Path("out"))["thresholds"] if t["name"] == "p=0.5")
    assert point["rows"] == len(above)


def test_a_dry_run_counts_and_measures_and_writes_nothing(here):
    before = sorted(path.name for path in here.iterdir())
    said = search("frozen", "t.parquet", "out", dry_run=True, **ONE)
    assert (said["rows"], said["bricks"], said["files"], said["dry_run"]) == (215, 4, 1, True)
    assert said["bytes_to_read"] > 0
    assert said["rows_per_second"] > 0
    assert said["disk_bytes"] > 215 * 101 * 101 * 3 * 4
    assert sorted(path.name for path in here.iterdir()) == before


def test_no_output_names_a_folder_of_this_machine(here):
    search("frozen", "t.parquet", "out", lenses="lenses.csv", **ONE)
    for name, content in tree(Path("out")).items():
        assert str(here).encode() not in content, name
    chain = [step["command"] for step in searches.summary(Path("out"))["provenance"]]
    assert chain[-1] == "search"
    assert "train" in chain
    assert json.dumps(searches.summary(Path("out")))
