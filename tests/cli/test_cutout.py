"""`lensctl cutout`, `pack` and `export` as people call them: exit codes, one JSON line, kills, pipes."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from lensctl.cli import report
from lensctl.cli.main import main
from lensctl.io.cutouts.store import open_store
from tests.toys import coadds
from tests.toys.coadds import make_brick, objects
from tests.toys.folders import folder_digest
from tests.toys.viewer_server import Service, serving


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with coadds in survey/ and a table of their objects in t.parquet."""
    folder = tmp_path_factory.mktemp("world")
    make_brick(folder / "survey", "1500p020")
    make_brick(folder / "survey", "1502p020", bands="gz")
    rows = pa.concat_tables([objects("1500p020", 8, spread_px=60.0), objects("1502p020", 4, spread_px=60.0)])
    pq.write_table(rows, folder / "t.parquet")
    return folder


@pytest.fixture
def here(survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "survey").symlink_to(survey / "survey")
    (tmp_path / "t.parquet").symlink_to(survey / "t.parquet")
    return tmp_path


CUT = ["cutout", "t.parquet", "a.zarr", "--root", "survey", "--size", "21", "--workers", "1"]
LINKS = {"survey", "t.parquet"}


def test_cutout_says_what_it_made_in_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CUT, "--npz", "loose"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert out.count("\n") == 1
    assert said.pop("seconds") >= 0
    assert said == {
        "command": "cutout",
        "output": "a.zarr",
        "rows": 12,
        "cut": 12,
        "status": {"missing_band": 4, "ok": 8},
        "npz": 12,
    }
    assert "missing_band" in err
    assert len(list((here / "loose").iterdir())) == 12
    step = open_store("a.zarr").chain[-1]
    assert step.parameters["root"] == "survey"
    assert str(here) not in json.dumps(step.as_dict())


def test_the_same_command_twice_gives_the_same_bytes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(CUT) == 0
    first = folder_digest("a.zarr")
    assert main(CUT) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert main([*CUT, "--overwrite"]) == 0
    assert folder_digest("a.zarr") == first
    assert main([*CUT, "--codec", "lz4"]) == 2
    assert "codec was none and is lz4" in capsys.readouterr().err
    assert folder_digest("a.zarr") == first


def test_a_table_through_a_pipe(here: Path) -> None:
    rows = Path("t.parquet").read_bytes()
    command = [sys.executable, "-m", "lensctl", "cutout", "-", "a.zarr", "--format", "parquet", *CUT[3:]]
    done = subprocess.run(command, input=rows, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 12
    cut = subprocess.run([*command, "--overwrite"], input=rows[:-100], capture_output=True, check=False)
    assert (cut.returncode, b"Traceback" in cut.stderr) == (2, False)
    assert b"stdin" in cut.stderr


def table(**columns: object) -> pa.Table:
    good = {"galaxy_id": ["1500p020_1", "1500p020_2"], "ra": [150.0, 150.001], "dec": [2.0, 2.0]}
    return pa.table({name: values for name, values in (good | columns).items() if values is not None})


BAD = {
    "no such table": (None, [], "bad.parquet: no such file"),
    "NaN": (table(ra=[150.0, float("nan")]), [], "'ra' is null or NaN"),
    "RA beyond 360": (table(ra=[150.0, 400.0]), [], "ra = 400.0 in row 1"),
    "no dec": (table(dec=None), [], "'dec' is missing"),
    "twice": (table(galaxy_id=["a_1", "a_1"]), [], "more than one row"),
    "a path": (table(galaxy_id=["../../x", "a_1"]), [], "cannot be a file name"),
    "empty": (table().slice(0, 0), [], "no rows"),
    "unknown brick": (table(galaxy_id=["x", "y"]), [], "its brick is not known"),
    "no root": (table(), ["--root", "nowhere"], "nowhere: no such folder"),
    "a layer without a release": (table(), ["--root", "survey", "--layer", "ls_dr9"], "ls_dr9 names no release"),
    "a root of something else": (table(), ["--root", "."], "holds no coadd/"),
    "no source": (table(), ["--source", "heaven"], "no source 'heaven'"),
    "no codec": (table(), ["--codec", "gzip"], "no codec 'gzip'"),
    "a plane of no coadd": (table(), ["--planes", "arcs"], "coadds have no plane 'arcs'"),
    "size 0": (table(), ["--size", "0"], "0 px"),
    "an unknown option": (table(), ["--sise", "64"], "No such option"),
    "an unknown setting": (table(), ["--config", "c.yaml"], "sise"),
    "no folder to write in": (table(), [], "does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_exit_2_and_nothing_written(
    here: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    rows, options, message = BAD[case]
    if rows is not None:
        pq.write_table(rows, "bad.parquet")
    Path("c.yaml").write_text("sise: 64\n")
    before = {path.name for path in here.iterdir()}
    store = "sub/a.zarr" if case == "no folder to write in" else "a.zarr"
    assert main(["cutout", "bad.parquet", store, "--root", "survey", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert {path.name for path in here.iterdir()} == before


def test_a_truncated_table_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.parquet").write_bytes(Path("t.parquet").read_bytes()[:-50])
    assert main(["cutout", "bad.parquet", "a.zarr", "--root", "survey"]) == 2
    assert "bad.parquet" in capsys.readouterr().err


def test_dry_run_counts_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CUT, "--dry-run"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["dry_run"], said["rows"], said["bricks"]) == (True, 12, 2)
    assert {path.name for path in here.iterdir()} == LINKS


def test_dry_run_counts_rows_in_no_brick_of_a_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bricks = {"brickname": ["1500p020"], "ra1": [149.875], "ra2": [150.125], "dec1": [1.875], "dec2": [2.125]}
    Table(bricks).write("bricks.fits")
    with serving() as service:
        command = ["cutout", "t.parquet", "v.zarr", "--source", "viewer", "--url", service.url, "--dry-run"]
        assert main(command) == 0
        assert "outside_footprint" not in json.loads(capsys.readouterr().out)
        assert main([*command, "--survey-bricks", "bricks.fits"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["rows"], said["outside_footprint"]) == (12, 4)
        assert main([*command, "--survey-bricks", "t.parquet"]) == 2
        assert "t.parquet" in capsys.readouterr().err


def test_dry_run_of_the_viewer_tells_hours_by_the_rate_of_twenty_answers(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = np.arange(5000)
    rows = {"galaxy_id": [f"x_{i}" for i in number], "ra": 150 + number / 4096, "dec": 2 + number / 8192}
    pq.write_table(pa.table(rows), "many.parquet")
    command = ["cutout", "many.parquet", "v.zarr", "--source", "viewer", "--size", "15", "--dry-run"]
    with serving() as service:
        service.delay = 0.1
        assert main([*command, "--url", service.url, "--connections", "1"]) == 0
        asked = [float(query["ra"]) for query in service.queries]
        service.down = True
        patience = ("--patience", "1", "--connections", "1")
        assert main([*command, "--url", service.url, *patience]) == 0
    out, err = capsys.readouterr()
    measured, without = map(json.loads, out.splitlines())
    assert (len(asked), asked[0], asked[-1]) == (20, 150.0, rows["ra"][-1])
    assert measured["measured_rows"] == 20
    assert 2.0 < measured["rows_per_second"] < 10.0
    assert measured["hours"] == pytest.approx(5000 / measured["rows_per_second"] / 3600, rel=0.05)
    assert without["rows"] == 5000
    assert "hours" not in without
    assert "hours are not told: the cutout service does not respond" in err
    assert not Path("v.zarr").exists()


def test_settings_from_a_file_give_way_to_options(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("root: survey\nsize: 31\nshard_rows: 5\nworkers: 1\n")
    assert main(["cutout", "t.parquet", "a.zarr", "--config", "c.yaml", "--size", "11"]) == 0
    layout = open_store("a.zarr").layout
    assert (layout.size, layout.shard_rows) == (11, 5)


def a_band_has_gaps(here: Path) -> None:
    """Let the r band of a brick be exactly 0 in stripes of 6 px, as where no exposure reached."""
    (here / "survey").unlink()
    planes = make_brick(here / "survey", "1500p020", compress=False)
    file = next((here / "survey").rglob("*-r.fits"))
    planes["r"][:, np.arange(planes["r"].shape[1]) % 60 < 6] = 0.0
    fitsio.write(str(file), planes["r"], header=fitsio.read_header(str(file)), clobber=True)
    pq.write_table(objects("1500p020", 12, spread_px=60.0), here / "half.parquet")


@pytest.mark.parametrize("way", ["coadd", "pack"])
def test_half_empty_cutouts_are_not_used_unless_so_much_may_be_empty(
    here: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    a_band_has_gaps(here)
    cut = ["cutout", "half.parquet", "all.zarr", "--root", "survey", "--size", "21", "--workers", "1"]
    assert main([*cut, "--max-empty", "1", "--npz", "loose"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == {"ok": 12}
    again = {"coadd": [*cut[:2], "a.zarr", *cut[3:]], "pack": ["pack", "loose", "a.zarr", "--workers", "1"]}[way]
    assert main(again) == 0
    index = open_store("a.zarr").index
    pixels = open_store("a.zarr").read(np.arange(12))
    empty = np.count_nonzero(pixels == 0, axis=(1, 2)) / 21**2  # (12, B); all of a small cutout counts
    np.testing.assert_allclose(index["zero_pixel_frac_r"].to_numpy(), empty[:, 1])
    assert not empty[:, [0, 2]].any()
    half = (empty[:, 1] > 0.05).tolist()
    assert 1 < sum(half) < 12
    assert index["status"].to_pylist() == ["half_empty" if is_half else "ok" for is_half in half]
    assert index["cutout_ok"].to_pylist() == [not is_half for is_half in half]
    assert "half_empty" in capsys.readouterr().err or way == "pack"
    assert open_store("a.zarr").chain[-1].parameters["max_empty"] == 0.05
    assert main([*again, "--max-empty", "0.5"]) == 2, "a store that was judged otherwise is another one"
    assert "max_empty" in capsys.readouterr().err or way == "pack"


def test_pack_and_export_say_what_they_made(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(CUT) == 0
    assert main(["export", "a.zarr", "loose", "--workers", "1", "--compress"]) == 0
    assert main(["pack", "loose", "b.zarr", "--workers", "1", "--shard-rows", "5"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["command"] for line in said] == ["cutout", "export", "pack"]
    assert said[1]["files"] == 12
    assert said[2]["status"] == {"missing_band": 4, "ok": 8}
    assert open_store("b.zarr").read(np.arange(12)).tobytes() == open_store("a.zarr").read(np.arange(12)).tobytes()
    for command in (["export", "a.zarr", "loose"], ["pack", "loose", "b.zarr"]):
        assert main(command) == 2
        assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["export", "none.zarr", "out"], "none.zarr: no such store"),
        (["export", "t.parquet", "out"], "t.parquet: a file, not a cutout store"),
        (["export", "survey", "out"], "not a cutout store"),
        (["pack", "survey", "out.zarr"], "holds no .npz files"),
        (["pack", "none", "out.zarr"], "no such store or folder"),
        (["pack", "t.parquet", "out.zarr"], "no such store or folder"),
    ],
)
def test_what_is_no_store_or_folder_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert {path.name for path in here.iterdir()} == LINKS


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


def viewer(service: Service, *options: object) -> list[str]:
    given = ["cutout", "v.parquet", "v.zarr", "--url", service.url, "--size", "15", "--shard-rows", "8", *options]
    return [str(option) for option in given]


def viewer_table(count: int) -> pa.Table:
    number = np.arange(count)
    rows = {"galaxy_id": [f"1500p020_{i}" for i in number], "ra": 150 + number / 64, "dec": 2 + number / 256}
    pq.write_table(pa.table(rows), "v.parquet")
    return pa.table(rows)


def test_from_the_viewer(here: Path, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    viewer_table(20)
    assert main(viewer(service)) == 0
    assert json.loads(capsys.readouterr().out)["status"] == {"ok": 20}
    assert {query["layer"] for query in service.queries} == {"ls-dr10"}
    assert open_store("v.zarr").chain[-1].parameters["url"] == service.url


def test_too_many_failures_are_exit_2_with_the_reasons_and_the_store_is_kept(
    here: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = viewer_table(20)
    service.always = dict.fromkeys(rows["ra"].to_pylist()[:3], "bands")
    assert main(viewer(service)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "3 of 20 cutouts failed, more than --max-failed 0.01" in err
    assert "wrong_bands" in err
    assert open_store("v.zarr").n == 20
    assert main(viewer(service, "--max-failed", "0.2")) == 0
    assert json.loads(capsys.readouterr().out)["cut"] == 0


def test_coadds_that_are_all_missing_or_damaged_are_exit_2_and_rerun_once_they_are_there(
    here: Path, survey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "survey").unlink()
    (here / "survey/south/coadd").mkdir(parents=True)
    assert main(CUT) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "12 of 12 cutouts failed, more than --max-failed 0.01" in err
    assert "missing_brick" in err
    assert open_store("a.zarr").n == 12
    shutil.copytree(survey / "survey", here / "survey", dirs_exist_ok=True)
    for image in (here / "survey").rglob("*-image-*"):
        image.write_bytes(b"damaged")
    assert main(CUT) == 2
    assert "bad_file" in capsys.readouterr().err
    shutil.copytree(survey / "survey", here / "survey", dirs_exist_ok=True)
    assert main(CUT) == 0
    assert json.loads(capsys.readouterr().out)["status"] == {"missing_band": 4, "ok": 8}


def test_a_part_of_the_coadds_may_be_missing_if_so_many_may_fail(
    here: Path, survey: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "survey").unlink()
    shutil.copytree(survey / "survey", here / "survey", ignore=shutil.ignore_patterns("1502p020"))
    assert main(CUT) == 2
    assert "4 of 12 cutouts failed" in capsys.readouterr().err
    assert main([*CUT, "--max-failed", "0.34"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == {"missing_brick": 4, "ok": 8}


def test_progress_says_rate_time_left_and_failures_by_reason(
    here: Path, service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "PLAIN_LINE_EVERY_SECONDS", 0.0)
    rows = viewer_table(20)
    service.always = dict.fromkeys(rows["ra"].to_pylist()[:3], "bands") | {rows["ra"][3].as_py(): "400"}
    assert main(viewer(service, "--max-failed", 1)) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cutouts: ")]
    assert re.fullmatch(r"cutouts: 20 of 20, [\d,]+/s, 0:00:00 left, 3 wrong_bands, 1 outside_footprint", lines[-1])


USER, PASSWORD, TOKEN, SIGNATURE = "astrid", "pass%2Fw0rd", "t0ken-of-mine", "51gnature"
HEADER = "Basic YXN0cmlkOnBhc3MvdzByZA=="
SECRETS = [part.encode() for part in (USER, PASSWORD, "pass/w0rd", TOKEN, SIGNATURE, HEADER[6:])]


def tell_tales(folder: Path, *said: str) -> list[str]:
    """Files below a folder, and texts, in which one of the secrets stands."""
    found = [str(path) for path in folder.rglob("*") if path.is_file() and _tells(path.read_bytes())]
    return found + [text for text in said if _tells(text.encode())]


def _tells(data: bytes) -> bool:
    return any(secret in data for secret in SECRETS)


def test_no_secret_of_an_address_is_in_any_file_or_word_of_a_run(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    survey = tmp_path / "elsewhere"
    make_brick(survey / "south", "1500p020")
    rows = objects("1500p020", 12, spread_px=60.0)
    pq.write_table(rows, "v.parquet")
    service.login = HEADER, TOKEN
    service.always = {rows["ra"][3].as_py(): "reset", rows["ra"][4].as_py(): "bands"}
    query = f"token={TOKEN}&X-Amz-Signature={SIGNATURE}"
    with coadds.serving(survey) as server:
        server.login = HEADER, query
        user = f"://{USER}:{PASSWORD}@"
        url = f"{service.url}?{query}".replace("://", user)
        root = f"{server.url}/south?{query}".replace("://", user)
        cut = ["cutout", "v.parquet", "v.zarr", "--url", url, "--tries", "2", "--max-failed", "1", "--size", "15"]
        coadd = ["cutout", "v.parquet", "c.zarr", "--root", root, "--size", "15", "--workers", "1", "--npz", "loose"]
        assert main(cut) == 0
        assert main(coadd) == 0, "the user and the token reach the server"
        assert open_store("v.zarr").columns("status")["status"].to_pylist().count("ok") == 10
        assert open_store("c.zarr").columns("status")["status"].to_pylist() == ["ok"] * 12
        assert main(cut) == 0, "it knows its store again"
        for command in (
            ["export", "v.zarr", "x"],
            ["pack", "x", "p.zarr"],
            ["show", "v.zarr"],
            ["show", "c.zarr"],
            ["doctor", "--url", url],
            ["manifest", "m.parquet", "--positives", "v.parquet", "v.zarr", "--negatives", "v.parquet", "c.zarr"],
        ):
            main(command)
        for wrong in (url.replace(TOKEN, f"x{TOKEN}"), url.replace("http", "ftp"), url.replace("%2F", "/")):
            assert main([*cut[:2], "w.zarr", "--url", wrong, "--tries", "1", "--patience", "0.1"]) == 2
        for wrong in (root.replace(TOKEN, f"x{TOKEN}"), root.replace("%2F", "/")):
            main([*coadd[:2], "w.zarr", "--root", wrong, "--tries", "1"])
        assert main([*cut[:2], "v.zarr", "--url", url.replace("/viewer", "/other")]) == 2
    out, err = capsys.readouterr()
    assert tell_tales(tmp_path, *out.splitlines(), *err.splitlines()) == []
    assert open_store("v.zarr").chain[-1].parameters["url"] == service.url


def test_an_unknown_layer_is_exit_2(here: Path, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    viewer_table(20)
    assert main(viewer(service, "--layer", "ls-dr99")) == 2
    assert "knows no layer ls-dr99" in capsys.readouterr().err


def started(service: Service, *options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lensctl", *viewer(service, *options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(service: Service, requests: int) -> None:
    until = time.monotonic() + 60
    while len(service.queries) < requests:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_kill_9_and_ctrl_c_and_then_the_same_command_again(here: Path, service: Service) -> None:
    viewer_table(120)
    service.delay = 0.1
    run = started(service, "--connections", 4)
    wait_for(service, 40)
    run.kill()
    run.communicate()
    assert not Path("v.zarr").exists()
    asked = len(service.queries)

    run = started(service, "--connections", 4)
    wait_for(service, asked + 30)
    at = time.monotonic()
    second = started(service)
    _, refused = second.communicate()
    assert (second.returncode, b"another process" in refused) == (2, True)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 130, err
    assert out == b""
    assert b"Traceback" not in err

    service.delay = 0.0
    run = started(service)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert json.loads(out)["status"] == {"ok": 120}
    assert max(service.asked.values()) <= 3
    assert sum(service.asked.values()) <= 120 + 2 * 2 * 8, "at most the two open shards are fetched again"
    assert main([*viewer(service)[:2], "w.zarr", *viewer(service)[3:]]) == 0
    assert open_store("v.zarr").digest == open_store("w.zarr").digest
    assert at > 0


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_kills_at_random_moments_cost_a_shard_each_and_change_nothing(here: Path, service: Service, kills: int) -> None:
    rows, chance = viewer_table(60 * kills), random.Random(kills)
    service.faults |= {ra: ["503"] for ra in rows["ra"].to_pylist()[::7]}
    service.always = dict.fromkeys(rows["ra"].to_pylist()[::25], "bands")
    service.delay = 0.02
    told = len(rows) + len(service.faults) + len(service.always)
    for _ in range(kills):
        run = started(service, "--max-failed", 1)
        wait_for(service, len(service.queries) + chance.randrange(1, 70))
        run.kill()
        run.communicate()
    assert main(viewer(service, "--max-failed", 1)) == 0
    assert sum(service.asked.values()) <= told + kills * (2 * 8 + 12), "two open shards, and who was at work"
    uninterrupted = viewer(service, "--max-failed", 1)
    uninterrupted[2] = "w.zarr"
    assert main(uninterrupted) == 0
    ours, theirs = open_store("v.zarr"), open_store("w.zarr")
    assert ours.digest == theirs.digest
    assert np.array_equal(ours.read_range(0, ours.n), theirs.read_range(0, ours.n), equal_nan=True)
    same = [name for name in ours.index.column_names if name not in ("downloaded_at", "seconds", "attempts")]
    assert ours.index.select(same).equals(theirs.index.select(same))


def test_ctrl_c_ends_within_two_seconds(here: Path, service: Service) -> None:
    viewer_table(40)
    service.delay = 30.0
    run = started(service)
    wait_for(service, 4)
    at = time.monotonic()
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=20)
    assert run.returncode == 130
    assert time.monotonic() - at < 2


@pytest.mark.parametrize("name", ["cutout", "pack", "export"])
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"Example: lensctl {name}" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_a_plain_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here.chmod(0o500)
    assert main(CUT) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_an_address_that_answered_nothing_does_not_block_the_next(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["cutout", "t.parquet", "a.zarr", "--source", "viewer", "--size", "15", "--patience", "0.5", "--tries", "1"]
    with serving() as gone:
        pass
    assert main([*asked, "--url", gone.url]) == 2
    assert f"error: {gone.url} answered no request" in capsys.readouterr().err
    assert {path.name for path in here.iterdir()} == LINKS
    with serving() as service:
        assert main([*asked, "--url", service.url.removesuffix("/viewer")]) == 0
    assert open_store("a.zarr").n == 12
