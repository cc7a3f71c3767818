"""`lensctl show` as a command: what it tells people and machines, draws and refuses."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest
from matplotlib.image import imread

from lensctl.io.tables.files import write_table
from tests.toys import catalogs as toys
from tests.toys import manifests as gate_toys
from tests.toys import pixels


@pytest.fixture
def manifest(tmp_path) -> Path:
    """A manifest beside its store of 12 px cutouts: 10 lenses, 50 others."""
    table = gate_toys.toy_manifest(10, 50)
    return gate_toys.with_store(tmp_path, table, pixels.images(60, 12))


def shape(picture: bytes) -> tuple[int, ...]:
    return imread(BytesIO(picture)).shape[:2]


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
        (["manifest.parquet", "--montage", "m.pdf"], "m.pdf: a montage is written as PNG"),
        (["manifest.parquet", "--montage", "m"], "m: a montage is written as PNG"),
        (["manifest.parquet", "--montage", "nowhere/m.png"], "folder nowhere/ does not exist"),
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


def test_a_cut_through_an_address_uncovers_no_password(lensctl, tmp_path):
    write_table(pa.table({"galaxy_id": ["https://me:hunter2@host/x"]}), str(tmp_path / "t.parquet"))
    (tmp_path / "t.txt").write_text("x" * 141 + " https://me:hunter2@host/x\n")
    for file in ("t.parquet", "t.txt"):
        done = lensctl("show", file)
        assert done.returncode == 0, done.stderr
        assert "hunter" not in done.stderr + done.stdout
