"""A store that grows on S3, in parts, or on Spark ends as the store that one process makes on disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.cutouts.store import open_store
from lensctl.io.storage import s3, s3_create
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError, ServiceError
from tests.toys.coadds import make_brick, objects
from tests.toys.folders import folder_digest

BRICKS = ("1500p020", "1502p020")
CUT = "cutout table.parquet {} --source coadd --root survey --size 21 --shard-rows 4 --workers 1"
SHARDS = 8


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a table of objects, and a survey in which the second brick is not there yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in BRICKS:
        make_brick(tmp_path / "survey", name)
    rows = [objects(name, 15, seed) for seed, name in enumerate(BRICKS)]
    write_table(pa.concat_tables(rows), "table.parquet")
    return tmp_path


def pixels_and_rows(store):
    return store.read_range(0, store.n), store.digest, store.columns("status")["status"].to_pylist()


def assert_same(one, other):
    (pixels, digest, statuses), (pixels_2, digest_2, statuses_2) = map(pixels_and_rows, (one, other))
    np.testing.assert_array_equal(pixels, pixels_2)
    assert (digest, statuses) == (digest_2, statuses_2)
    assert one.attributes == other.attributes


def done(lensctl, store, *options):
    ran = lensctl(*CUT.format(store).split(), *options)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_straight_to_s3_is_what_it_is_on_disk(here, lensctl, bucket):
    done(lensctl, "here.zarr")
    there = f"s3://{bucket}/deep/there.zarr"
    assert done(lensctl, there)["cut"] == 30
    assert_same(open_store("here.zarr"), open_store(there))
    assert not [name for name in s3.list_objects(there) if "/_" in name], "neither mark nor notes are left"
    assert done(lensctl, f"s3a://{bucket}/deep/there.zarr")["cut"] == 0
    refused = lensctl(*CUT.format(there).split(), "--size", "23")
    assert refused.returncode == 2
    assert "was made differently: size was 21 and is 23" in refused.stderr


def test_any_zarr_reader_reads_it_on_s3(here, lensctl, bucket):
    import zarr
    import zarr.storage

    done(lensctl, f"s3://{bucket}/a.zarr")
    store = zarr.storage.ObjectStore(s3.object_store(bucket))
    group = zarr.open_group(store, path="a.zarr", mode="r")
    np.testing.assert_array_equal(group["images"][:], open_store(f"s3://{bucket}/a.zarr").read_range(0, 30))


def test_killed_on_s3_it_is_refused_to_readers_and_goes_on(here, lensctl, bucket):
    url = f"s3://{bucket}/killed.zarr"
    command = [sys.executable, "-m", "lensctl", *CUT.format(url).split()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(s3.list_objects(f"{url}/_parts")) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(InputError, match="is incomplete"):
        open_store(url)
    recorded = len(s3.list_objects(f"{url}/_parts"))
    assert 2 <= recorded < SHARDS, "it was killed half-way"
    otherwise = lensctl(*CUT.format(url).split(), "--size", "23")
    assert (otherwise.returncode, "was started by another run" in otherwise.stderr) == (2, True)
    assert done(lensctl, url)["cut"] == 30 - 4 * recorded
    done(lensctl, "here.zarr")
    assert_same(open_store("here.zarr"), open_store(url))


def test_a_brick_that_comes_later_is_taken_up_on_s3(here, lensctl, bucket):
    url = f"s3://{bucket}/later.zarr"
    away = next((here / "survey").rglob(f"*{BRICKS[1]}"))
    shutil.move(away, here / "away")
    assert done(lensctl, url, "--max-failed", "0.5")["status"]["missing_brick"] == 15
    assert done(lensctl, url, "--max-failed", "0.5")["status"]["missing_brick"] == 15, "tried again, and as before"
    assert not [name for name in s3.list_objects(url) if "/_" in name]
    shutil.move(here / "away", away)
    again = done(lensctl, url)
    assert (again["cut"], again["status"]) == (15, {"ok": 30})
    done(lensctl, "here.zarr")
    assert_same(open_store("here.zarr"), open_store(url))


def test_overwrite_on_s3_leaves_nothing_of_the_old_store(here, lensctl, bucket):
    url = f"s3://{bucket}/old.zarr"
    s3.write_object(f"{url}/left.txt", b"over")
    refused = lensctl(*CUT.format(url).split())
    assert (refused.returncode, "exists" in refused.stderr) == (2, True)
    done(lensctl, url, "--overwrite")
    assert f"{url}/left.txt" not in s3.list_objects(url)
    assert open_store(url).n == 30


def test_on_s3_work_that_failed_by_its_input_does_not_stand_in_the_way_of_the_mended_one(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"s3://{bucket}/mended"
    for error in (ServiceError("no answer"), InputError("bad row"), ServiceError("no answer")):
        with pytest.raises(type(error)), begin_folder(url, {"command": "cutout", "size": 1}) as place:  # noqa: PT012
            place.put_part("a", b"1")
            raise error
        if isinstance(error, InputError):
            s3.write_object(f"{url}/images", b"of the bad row")
            with pytest.raises(ServiceError), begin_folder(url, {"command": "cutout", "size": 2}):  # noqa: PT012
                assert s3.list_objects(url) == [f"{url}/_INCOMPLETE"]
                raise ServiceError("no answer")
            s3.delete(s3.list_objects(url))
        else:
            with pytest.raises(InputError, match="was started by another run: size was 1 and is 2"):
                begin_folder(url, {"command": "cutout", "size": 2}).__enter__()


PART = {"identity": {"command": "cutout", "size": 1}, "part": "2-of-2"}
REQUESTS = ("read_object", "exists", "list_objects", "write_object", "delete")


@pytest.mark.parametrize("again", [False, True])
def test_on_s3_a_part_may_begin_at_any_moment_of_another_that_begins(bucket, tmp_path, monkeypatch, again):
    """Before each of the first part's requests in turn, all in one bucket: the server has room for few."""
    for turn in range(8):
        url, turns = f"s3://{bucket}/at-once-{turn}", iter(range(8))
        if again:
            s3.write_object(f"{url}/images", b"of an earlier run")

        def begin(identity, part, url=url):
            with begin_folder(url, identity, again=again, part=part) as place:
                return place

        def in_turn(request, turn=turn, turns=turns, begin=begin):
            def asked(*args):
                if next(turns, None) == turn:
                    with monkeypatch.context() as other:
                        other.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
                        begin(PART["identity"], "1-of-2").put_part("a", b"1")
                return request(*args)

            return asked

        with monkeypatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
            for module, names in ((s3, REQUESTS), (s3_create, ["create"])):
                for name in names:
                    patch.setattr(module, name, in_turn(getattr(module, name)))
            begin(**PART).put_part("b", b"2")
            assert begin(**PART).parts() == {"a", "b"}, turn


def test_on_s3_what_another_took_over_is_neither_finished_nor_discarded(bucket, tmp_path, monkeypatch):
    url = f"s3://{bucket}/taken"
    for end in ("finish", "abandon"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
        with begin_folder(url, {"command": "cutout", "size": 1}, overwrite=True) as place:
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
            with begin_folder(url, {"command": "cutout", "size": 2}, overwrite=True) as other:
                other.put_part("a", b"1")
                with pytest.raises(InputError, match=r"is being made by another run \(lensctl cutout\)"):
                    getattr(place, end)()
                assert other.part("a") == b"1"
                other.abandon()


@pytest.mark.parametrize("on_s3", [False, True])
def test_parts_and_finish_make_the_same_store(here, lensctl, request, on_s3):
    store = f"s3://{request.getfixturevalue('bucket')}/parts.zarr" if on_s3 else "parts.zarr"
    commands = [[sys.executable, "-m", "lensctl", *CUT.format(store).split(), "--part", f"{k}/3"] for k in (1, 2, 3)]
    for started in [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for c in commands[:2]]:
        out, err = started.communicate()
        assert started.returncode == 0, err.decode()
        assert json.loads(out)["cut"] in (11, 12, 10)
    early = lensctl(*CUT.format(store).split(), "--finish")
    assert (early.returncode, "2 of 8 shards are missing, first 2" in early.stderr) == (2, True), early.stderr
    with pytest.raises(InputError):
        open_store(store)
    subprocess.run(commands[2], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done(lensctl, store, "--finish")
    done(lensctl, "here.zarr")
    assert_same(open_store("here.zarr"), open_store(store))
    if not on_s3:
        assert folder_digest("here.zarr") == folder_digest(store)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--part", "0/3"], "'0/3' is not a part"),
        (["--part", "4/3"], "'4/3' is not a part"),
        (["--part", "one"], "'one' is not a part"),
        (["--part", "1/3", "--overwrite"], "--part cannot be combined with"),
        (["--part", "1/3", "--npz", "d"], "--part cannot be combined with"),
        (["--engine", "flink"], "no engine 'flink'"),
        (["--finish"], "8 of 8 shards are missing, first 0"),
    ],
)
def test_what_does_not_go_together_is_refused(here, lensctl, options, message):
    refused = lensctl(*CUT.format("a.zarr").split(), *options)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert message in refused.stderr
    assert not Path("a.zarr").exists()


def test_one_part_is_made_by_one_process_and_the_whole_by_none_meanwhile(here, lensctl):
    # the words differ, but the lock is asked first
    with begin_folder("a.zarr", {"made": "up"}, part="1-of-3"):
        for options in (["--part", "1/3"], []):
            refused = lensctl(*CUT.format("a.zarr").split(), *options)
            assert (refused.returncode, "being made by another process" in refused.stderr) == (2, True), refused.stderr


@pytest.mark.soak  # every time, tests/emr/test_proof.py makes a store there
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, and there is none here")
def test_on_spark_straight_to_s3_it_is_the_same_store(here, lensctl, bucket):
    pytest.importorskip("pyspark", reason="Spark is not installed (pip install 'lensctl[spark]')")
    done(lensctl, "here.zarr")
    url = f"s3://{bucket}/spark.zarr"
    assert done(lensctl, url, "--engine", "spark")["cut"] == 30
    assert_same(open_store("here.zarr"), open_store(url))


def test_a_folder_of_npz_is_packed_straight_to_s3_and_exported_from_there(here, lensctl, bucket):
    done(lensctl, "here.zarr", "--npz", "npz")
    url = f"s3://{bucket}/packed.zarr"
    for store in ("packed.zarr", url):
        ran = lensctl("pack", "npz", store, "--shard-rows", "4")
        assert ran.returncode == 0, ran.stderr
    assert_same(open_store("packed.zarr"), open_store(url))
    ran = lensctl("export", url, "again")
    assert ran.returncode == 0, ran.stderr
    assert len(list(Path("again").glob("*.npz"))) == 30


def test_a_bucket_that_is_not_there_is_one_sentence(here, lensctl, bucket):
    refused = lensctl(*CUT.format("s3://no-such-bucket-anywhere/a.zarr").split())
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no such bucket" in refused.stderr, refused.stderr
    whole = lensctl(*CUT.format(f"s3://{bucket}").split(), "--overwrite")
    assert (whole.returncode, "is a bucket" in whole.stderr) == (2, True), whole.stderr


def test_s3_that_goes_away_half_way_is_one_sentence_and_the_next_run_goes_on(here, lensctl, bucket, monkeypatch):
    """Every request after the first 25 is cut off by a server in between."""
    import http.client
    import http.server
    import threading

    behind = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    left = [25]

    class Between(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def carry(self):
            left[0] -= 1
            if left[0] < 0:
                self.close_connection = True
                self.connection.close()
                return
            length = int(self.headers.get("Content-Length") or 0)
            link = http.client.HTTPConnection(behind)
            link.request(self.command, self.path, self.rfile.read(length) if length else None, dict(self.headers))
            answer = link.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            size = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", size or str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            link.close()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = carry

        def log_message(self, *_):
            """Not now."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"s3://{bucket}/away.zarr"
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    cut_off = lensctl(*CUT.format(url).split())
    server.shutdown()
    server.server_close()
    assert (cut_off.returncode, cut_off.stdout) == (2, "")
    assert "Traceback" not in cut_off.stderr
    assert "S3 says" in cut_off.stderr, cut_off.stderr
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{behind}")
    recorded = len(s3.list_objects(f"{url}/_parts"))
    assert 0 < recorded < SHARDS
    assert done(lensctl, url)["cut"] == 30 - 4 * recorded
    done(lensctl, "here.zarr")
    assert_same(open_store("here.zarr"), open_store(url))
