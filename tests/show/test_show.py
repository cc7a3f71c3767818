"""`lensctl show`: what is said of each kind of file, and montages of cutouts."""

from __future__ import annotations

import json
import shutil
from io import BytesIO
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from lensctl.astro.rgb import BAND_GAIN, HOLE, lupton_rgb
from lensctl.io.cutouts import npz
from lensctl.io.provenance.steps import Step, stamp, step_input
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.show.description import chain_lines, plainly
from lensctl.show.identify import identify
from lensctl.show.montage import Band, choose, draw, open_source
from tests.toys import catalogs as toys
from tests.toys import frozen as frozen_toys
from tests.toys import manifests as gate_toys
from tests.toys import pixels
from tests.toys.frozen import bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with frozen_toys.tiny_network():
        yield bundle(tmp_path_factory)


@pytest.fixture
def manifest(tmp_path) -> Path:
    """A manifest beside its store of 12 px cutouts: 10 lenses, 50 others."""
    table = gate_toys.toy_manifest(10, 50)
    return gate_toys.with_store(tmp_path, table, pixels.images(60, 12))


# colour


@given(st.integers(0, 2**32 - 1), st.floats(0.001, 100))
def test_colour_pictures_are_whole_and_brighter_pixels_are_no_darker(seed, scale):
    image = np.random.default_rng(seed).normal(0, scale, (5, 6, 3)).astype(np.float32)
    picture = lupton_rgb(image)
    assert picture.shape == (5, 6, 3)
    assert picture.dtype == np.uint8
    brighter = lupton_rgb(image + np.float32(scale) * np.array([1, 1, 1], np.float32) / BAND_GAIN)
    assert brighter.mean() >= picture.mean() - 1


def test_a_source_with_the_colours_of_the_gains_is_grey():
    image = np.ones((3, 3, 3), np.float32) * 0.05 / np.array(BAND_GAIN)
    picture = lupton_rgb(image)
    assert (picture.max(axis=-1) - picture.min(axis=-1)).max() <= 1
    assert 20 < lupton_rgb(np.zeros((3, 3, 3), np.float32))[0, 0, 0] < 60  # an empty sky is dark, and not black


def test_z_is_red_and_g_is_blue():
    image = np.zeros((2, 2, 3), np.float32)
    image[0, 0, 2] = image[1, 1, 0] = 0.2
    picture = lupton_rgb(image).astype(int)
    assert picture[0, 0].argmax() == 0
    assert picture[1, 1].argmax() == 2


def test_holes_are_seen_and_a_missing_band_leaves_the_others():
    image = np.full((2, 4, 4, 3), 0.05, np.float32)
    image[0, 1, 2, 0] = np.nan
    image[1, :, :, 1] = np.nan
    picture = lupton_rgb(image)
    assert tuple(picture[0, 1, 2]) == HOLE
    assert (picture[0].reshape(-1, 3) == HOLE).all(axis=1).sum() == 1
    assert not (picture[1].reshape(-1, 3) == HOLE).all(axis=1).any()
    assert (lupton_rgb(np.full((3, 3, 3), np.nan, np.float32)).reshape(-1, 3) == HOLE).all()


# tables


def test_a_table_says_rows_units_meanings_classes_and_chain(tmp_path):
    chain = (Step("pool", {"preset": "plan"}),)
    pool = toys.pool(200)
    write_table(stamp(pool, chain), str(tmp_path / "pool.parquet"))
    facts = identify(str(tmp_path / "pool.parquet"), head=2)
    assert facts.kind == "table"
    assert facts.figures["rows"] == pool.num_rows
    assert facts.figures["digest"].startswith("sha256:")
    assert {"name": "ra", "type": "double", "unit": "deg", "meaning": "Right ascension, ICRS, J2000"} in facts.details[
        "schema"
    ]
    assert sum(facts.details["counts"]["split"].values()) == pool.num_rows
    assert facts.details["head"] == pool.slice(0, 2).to_pylist()
    assert facts.chain == chain


@pytest.mark.parametrize("ending", ["arrow", "csv", "ndjson"])
def test_tables_of_other_formats_are_tables(tmp_path, ending):
    write_table(toys.pool(60).select(["galaxy_id", "ra", "dec"]), str(tmp_path / f"t.{ending}"))
    facts = identify(str(tmp_path / f"t.{ending}"))
    assert (facts.kind, facts.figures["columns"]) == ("table", 3)


def test_a_hive_folder_and_a_glob_are_one_table(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"split={name}").mkdir()
        write_table(toys.pool(60).select(["galaxy_id"]), str(tmp_path / f"split={name}/part.parquet"))
    rows = 2 * toys.pool(60).num_rows
    assert identify(str(tmp_path)).figures["rows"] == rows
    assert identify(f"{tmp_path}/*/part.parquet").figures["rows"] == rows


def test_a_large_table_is_not_read_for_its_digest(tmp_path, monkeypatch):
    from lensctl.show import tables as shown

    write_table(toys.pool(100), str(tmp_path / "pool.parquet"))
    monkeypatch.setattr(shown, "DIGESTED_ROWS", 10)
    facts = identify(str(tmp_path / "pool.parquet"), where="ra > 0")
    assert "digest" not in facts.figures
    assert facts.figures["matching"] == facts.figures["rows"] > 10
    assert len(facts.details["head"]) == 3


def test_a_condition_chooses_the_rows_that_are_shown(manifest):
    facts = identify(str(manifest), where="label = 1")
    assert facts.figures["matching"] == 10
    assert {row["label"] for row in facts.details["head"]} == {1}


@pytest.mark.parametrize("where", ["lable = 1", "label = ", "1); DROP TABLE x", "ra = 'north'"])
def test_a_condition_that_is_no_sql_is_one_sentence(manifest, where):
    with pytest.raises(InputError, match="label|LABEL|syntax|Parser|Binder|Conversion|ra") as caught:
        identify(str(manifest), where=where)
    assert "\n" not in str(caught.value)


# pixels


def test_a_store_says_its_rows_status_quality_and_chain(tmp_path):
    images = pixels.images(10)
    images[3, :, :, 1] = np.nan
    pixels.make_store(tmp_path / "s.zarr", images)
    facts = identify(str(tmp_path / "s.zarr"))
    assert facts.kind == "cutout store"
    assert (facts.figures["rows"], facts.figures["usable"], facts.figures["size_px"]) == (10, 9, 9)
    assert facts.details["counts"]["status"] == {"ok": 9, "missing_band": 1}
    assert {row["column"] for row in facts.details["quality"]} >= {"mean_g", "p99_z", "bad_pixel_frac"}
    assert facts.chain == pixels.CHAIN
    json.dumps(facts.as_json(), allow_nan=False)


def an_npz(path: Path, image: np.ndarray, **meta: object) -> Path:
    facts = {"galaxy_id": "0001m002_7", "ra": 1.0, "dec": -2.0, **meta}
    npz.write_npz(path, image, {f"meta_{key}": np.array(value) for key, value in facts.items()})
    return path


def test_one_cutout_says_its_keys_and_quality(tmp_path):
    path = an_npz(tmp_path / "a.npz", pixels.images(1)[0], note="hello")
    facts = identify(str(path))
    assert facts.kind == "cutout (.npz)"
    assert (facts.figures["galaxy_id"], facts.figures["status"], facts.figures["size_px"]) == ("0001m002_7", "ok", 9)
    assert {"key": "meta_note", "dtype": "<U5", "shape": "()", "value": "hello"} in facts.details["keys"]
    assert identify(str(tmp_path)).figures["files"] == 1


def test_an_npz_without_a_cutout_says_its_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y="text")
    facts = identify(str(tmp_path / "a.npz"))
    assert facts.kind == "arrays (.npz)"
    assert [row["key"] for row in facts.details["keys"]] == ["x", "y"]


def test_the_real_cutouts_are_read_and_drawn(real_data):
    folder = real_data / "dr10-cutouts"
    facts = identify(str(folder / "0001m040_4091.npz"))
    assert facts.figures["size_px"] == 101
    bands = choose(open_source(str(folder)), [], 10)
    assert [len(band.images) for band in bands] == [3]
    picture = imread(BytesIO(draw(bands)))
    assert picture.shape[1] > 900
    assert 0.15 < picture[100:200, 100:200, :3].mean() < 0.6


# folders


def test_a_run_an_evaluation_a_frozen_model_and_gate_lines_say_what_they_are(made):
    run, evaluation, frozen = (identify(str(made / name)) for name in ("run", "evaluation", "frozen"))
    assert [facts.kind for facts in (run, evaluation, frozen)] == ["run", "evaluation", "frozen model"]
    assert run.figures["epochs"] == 2
    assert run.figures["model_digest"] == evaluation.figures["model_digest"] == frozen.figures["model_digest"]
    assert run.figures["manifest_digest"] == identify(str(made / "manifest.parquet")).figures["digest"]
    assert "test_auc" in evaluation.details["headline"]
    assert [facts.chain[-1].command for facts in (run, evaluation, frozen)] == ["train", "evaluate", "freeze"]
    lines = identify(str(made / "gates.jsonl"))
    assert (lines.kind, lines.figures["lines"], lines.figures["failed"]) == ("gate lines", 8, 0)
    assert identify(str(made / "run" / "best.safetensors")).kind == "weights (safetensors)"
    assert identify(str(made / "frozen" / "provenance.json")).chain == frozen.chain
    assert identify(str(made / "frozen" / "golden.npz")).kind in ("arrays (.npz)", "cutout (.npz)")
    for facts in (run, evaluation, frozen, lines):
        json.dumps(facts.as_json(), allow_nan=False)


def test_a_mock_sky_says_what_is_in_it(tmp_path):
    from lensctl.sky.mock import make
    from lensctl.sky.pointings import Size

    chain = (Step("sky", {"seed": 1}),)
    make(tmp_path, Size(40, 3, 300, False), seed=1, workers=1, chain=chain)
    facts = identify(str(tmp_path))
    assert facts.kind == "mock sky"
    assert facts.figures["mock"] is True
    assert facts.figures["objects"] >= 40
    assert facts.chain == chain
    brick = next(tmp_path.glob("south/coadd/*/*/*-image-g.fits.fz"))
    picture = identify(str(brick))
    assert (picture.kind, picture.figures["MOCK"]) == ("FITS image", True)
    catalogue = identify(str(next(tmp_path.glob("south/tractor/*/*.fits"))))
    assert catalogue.kind == "FITS table"
    assert "RA" in {column["name"].upper() for column in catalogue.details["columns"]}
    assert identify(str(tmp_path / "survey-bricks.fits.gz")).kind == "FITS table"


def test_what_is_unfinished_says_so(tmp_path):
    from lensctl.io.storage import resumable

    with pytest.raises(KeyboardInterrupt), resumable.job(tmp_path / "s.zarr", {"step": {"command": "cutout"}}):
        raise KeyboardInterrupt
    facts = identify(str(tmp_path / ".s.zarr.part"))
    assert (facts.kind, facts.figures["command"], facts.figures["becomes"]) == ("unfinished output", "cutout", "s.zarr")


# none of ours


def test_what_is_none_of_ours_is_described(tmp_path):
    import zarr

    (tmp_path / "notes.txt").write_text("one\ntwo\n")
    (tmp_path / "raw.bin").write_bytes(bytes(range(256)))
    (tmp_path / "empty").touch()
    (tmp_path / "some.json").write_text('{"a": 1, "b": [2]}')
    zarr.create_array(str(tmp_path / "z.zarr"), shape=(3,), dtype="f4")
    kinds = {name: identify(str(tmp_path / name)) for name in ("notes.txt", "raw.bin", "empty", "some.json", "z.zarr")}
    assert [facts.kind for facts in kinds.values()] == ["text", "binary file", "empty file", "JSON", "Zarr"]
    assert kinds["notes.txt"].figures["lines"] == 2
    assert kinds["z.zarr"].figures["shape"] == [3]
    shutil.rmtree(tmp_path / "z.zarr")
    folder = identify(str(tmp_path))
    assert (folder.kind, folder.figures["files"]) == ("folder", 4)


def broken(tmp_path: Path) -> dict[str, Path]:
    """Files cut short, each by its kind."""
    write_table(toys.pool(100), str(tmp_path / "cut.parquet"))
    write_table(toys.pool(100), str(tmp_path / "cut.arrow"))
    an_npz(tmp_path / "cut.npz", pixels.images(1)[0])
    fitsio.write(tmp_path / "cut.fits", np.zeros((100, 100)))
    (tmp_path / "cut.json").write_text('{"a": [1, 2, 3')
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(100)}, tmp_path / "cut.safetensors")
    files = {path.suffix: path for path in tmp_path.iterdir()}
    for path in files.values():
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
    return files


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".npz", ".fits", ".json", ".safetensors"])
def test_a_file_cut_short_is_an_error_that_names_it(tmp_path, ending):
    with pytest.raises(InputError, match=r"cut\.") as caught:
        identify(str(broken(tmp_path)[ending]))
    assert caught.value.fix


def test_a_torn_store_and_a_pickled_npz_are_errors(tmp_path):
    pixels.make_store(tmp_path / "s.zarr", pixels.images(10))
    (tmp_path / "s.zarr/images/c/1/0/0/0").unlink()
    with pytest.raises(InputError, match="is missing"):
        identify(str(tmp_path / "s.zarr"))
    np.savez(tmp_path / "evil.npz", cutout=np.array([print], object))
    np.savez(tmp_path / "evil2.npz", x=np.array([print], object))
    for name in ("evil.npz", "evil2.npz"):
        with pytest.raises(InputError, match=name):
            identify(str(tmp_path / name))
    with pytest.raises(InputError, match="no such file"):
        identify(str(tmp_path / "nowhere"))


# chain


def test_a_chain_is_told_from_its_end_with_each_step_once():
    first = Step("pool", {"preset": "plan", "nothing": None})
    second = Step("sample", {}, (step_input("pool", "a/pool.parquet", "sha256:" + "b" * 64, (first,)),))
    third = Step("gate", {}, (step_input("lenses", "l.csv", "sha256:" + "c" * 64),))
    lines = chain_lines((first, second, third))
    assert [line.split()[1] for line in lines if line.startswith("[")] == ["gate", "sample", "pool"]
    assert "      pool: pool.parquet ← [1]" in lines
    assert "      lenses: l.csv sha256:cccccccccccc…" in lines
    assert "      preset=plan" in lines


def test_json_has_no_nan():
    assert plainly({"a": float("nan"), "b": np.float32(1.5), "c": (np.int64(2), None), "d": Path("x")}) == {
        "a": None,
        "b": 1.5,
        "c": [2, None],
        "d": "x",
    }


# montage


def shape(picture: bytes) -> tuple[int, ...]:
    return imread(BytesIO(picture)).shape[:2]


def test_a_montage_shows_each_cutout_once_north_up_and_at_a_whole_zoom():
    images = np.zeros((3, 8, 8, 3), np.float32)
    images[:, 7, 0] = 50.0 / np.array(BAND_GAIN)  # north-east corner: white
    picture = imread(BytesIO(draw([Band("", images, [[], [], []])], columns=3)))
    assert picture.shape[:2] == (6 + 32 + 6, 3 * 38 + 6)
    bright = (picture[..., :3] == 1.0).all(axis=-1)
    inner = bright[6:38]
    for x in (6, 44, 82):
        assert inner[:4, x : x + 4].all()
        assert not inner[5:, x : x + 32].any()


def test_the_same_montage_has_the_same_bytes(manifest):
    source = open_source(str(manifest))
    pictures = {draw(choose(source, ["lenses: label = 1", "label = 0"], 8)) for _ in range(2)}
    assert len(pictures) == 1


def test_rows_of_a_montage_are_chosen_by_sql_in_the_order_of_the_table(manifest):
    table = read_table(str(manifest))
    ids = [row["galaxy_id"] for row in table.to_pylist() if row["label"] == 1]
    bands = choose(open_source(str(manifest)), ["Lenses: label = 1", "label = 0"], 4, where="cutout_ok")
    assert [(band.heading, len(band.images)) for band in bands] == [("Lenses", 4), ("label = 0", 4)]
    assert [label[0] for label in bands[0].labels] == ids[:4]
    last = choose(open_source(str(manifest)), ["label = 1"], 2, order="galaxy_id DESC")[0]
    assert [label[0] for label in last.labels] == sorted(ids)[::-1][:2]
    assert last.heading == ""


def test_the_pixels_of_a_manifest_are_those_of_its_rows(manifest):
    found = choose(open_source(str(manifest)), [], 60)[0]
    assert np.array_equal(found.images, pixels.images(60, 12))


def test_ids_are_drawn_in_the_order_asked(tmp_path):
    images = pixels.images(6)
    pixels.make_store(tmp_path / "s.zarr", images)
    wanted = [pixels.ids(6)[k] for k in (4, 0)]
    (band,) = choose(open_source(str(tmp_path / "s.zarr")), [], 24, ids=wanted)
    assert np.array_equal(band.images, images[[4, 0]])
    with pytest.raises(InputError, match="no galaxy nobody_1"):
        choose(open_source(str(tmp_path / "s.zarr")), [], 24, ids=["nobody_1"])


def test_labels_are_columns_and_a_status_that_is_not_ok(tmp_path):
    images = pixels.images(2)
    images[1] = np.nan
    pixels.make_store(tmp_path / "s.zarr", images)
    (band,) = choose(open_source(str(tmp_path / "s.zarr")), [], 2, label=["galaxy_id", "ra"])
    assert band.labels == [["1500p020_0", "150"], ["1500p020_1", "150", "missing_band"]]
    (bare,) = choose(open_source(str(tmp_path / "s.zarr")), [], 2, label=[])
    assert bare.labels == [[], ["missing_band"]]
    with pytest.raises(InputError, match="'p' is missing"):
        choose(open_source(str(tmp_path / "s.zarr")), [], 2, label=["p"])


def test_nothing_to_draw_is_an_error(manifest, tmp_path):
    with pytest.raises(InputError, match="no cutout meets"):
        choose(open_source(str(manifest)), ["label = 7"], 4)
    write_table(pa.table({"galaxy_id": ["a_1"]}), str(tmp_path / "t.parquet"))
    with pytest.raises(InputError, match="cutout_path"):
        open_source(str(tmp_path / "t.parquet"))


# the command


def receipt(done) -> dict:
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done
    return json.loads(lines[0])


def test_the_command_tells_people_on_stderr_and_machines_on_stdout(lensctl, manifest):
    done = lensctl("show", manifest)
    assert done.returncode == 0, done.stderr
    assert (receipt(done)["kind"], receipt(done)["rows"]) == ("table", 60)
    assert "Right ascension," in done.stderr
    assert "nanomaggy" in done.stderr
    full = lensctl("show", manifest, "--json")
    assert full.stderr == ""
    assert [column["name"] for column in receipt(full)["schema"]][:2] == ["galaxy_id", "cutout_path"]


def test_the_command_draws_refuses_to_overwrite_and_draws_the_same_again(lensctl, manifest, tmp_path):
    line = ("show", manifest, "--montage", "m.png", "--rows", "Lenses: label = 1", "--rows", "label = 0", "--n", 4)
    done = lensctl(*line)
    assert done.returncode == 0, done.stderr
    assert receipt(done)["cutouts"] == 8
    drawn = (tmp_path / "m.png").read_bytes()
    assert shape(drawn)[0] > 100
    again = lensctl(*line)
    assert (again.returncode, again.stdout) == (2, "")
    assert "exists" in again.stderr
    assert lensctl(*line, "--overwrite").returncode == 0
    assert (tmp_path / "m.png").read_bytes() == drawn


def test_a_table_on_stdin_is_shown_too(lensctl):
    sink = pa.BufferOutputStream()
    table = toys.pool(60).select(["galaxy_id", "ra", "dec"])
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    done = lensctl("show", "-", stdin=sink.getvalue().to_pybytes())
    assert (done.returncode, receipt(done)["rows"]) == (0, table.num_rows)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.parquet"], "no such file"),
        (["manifest.parquet", "--rows", "label = 1"], "--montage"),
        (["manifest.parquet", "--montage", "m.png", "--rows", "lable = 1"], "lable"),
        (["manifest.parquet", "--montage", "m.png", "--root", "elsewhere"], "no such store"),
        (["manifest.parquet", "--montage", "nowhere/m.png"], "no folder"),
        (["manifest.parquet", "--montages", "m.png"], "--montages"),
        (["-", "--montage", "m.png"], "pipe"),
        (["cutouts.zarr", "--where", "label = 1"], "--where"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence_and_exit_2(lensctl, manifest, tmp_path, arguments, says):
    done = lensctl("show", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.png"))


def test_tables_and_stores_on_s3_are_shown(lensctl, manifest, bucket):
    assert lensctl("sync", manifest.parent, f"s3://{bucket}/made").returncode == 0
    table = lensctl("show", f"s3://{bucket}/made/manifest.parquet", "--montage", "m.png")
    assert (table.returncode, receipt(table)["rows"], receipt(table)["cutouts"]) == (0, 60, 24), table.stderr
    store = lensctl("show", f"s3a://{bucket}/made/cutouts.zarr")
    assert (store.returncode, receipt(store)["kind"]) == (0, "cutout store"), store.stderr
