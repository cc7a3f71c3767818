"""`lensctl selection observe|measure`: options reach the functions, and bad ones are a sentence."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from lensctl.cli.main import main
from lensctl.io.tables.files import read_table
from tests.toys import frozen
from tests.toys.hosts import make_hosts


@pytest.fixture
def here(tmp_path, tmp_path_factory, monkeypatch):
    """A folder with hosts.parquet, hosts.zarr and a frozen model, in the tiny network's place."""
    made = make_hosts(tmp_path, count=3)
    made.table.rename(tmp_path / "hosts.parquet")
    (tmp_path / "frozen").symlink_to(frozen.bundle(tmp_path_factory) / "frozen")
    monkeypatch.chdir(tmp_path)
    with frozen.tiny_network():
        yield tmp_path


def test_measure_is_inject_score_and_observe_on_the_command_line(here, capsys):
    words = ["--per-host", "2", "--workers", "1", "--device", "cpu", "--threads", "1"]
    assert main(["selection", "measure", "frozen", "hosts.parquet", "hosts.zarr", "m", *words, "--embedding"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["command"], told["action"], told["rows"], told["measured"]) == ("selection", "measure", 6, 6)
    assert main(["inject", "hosts.parquet", "hosts.zarr", "i.zarr", "--per-host", "2", "--workers", "1"]) == 0
    score = ["score", "frozen", "i.zarr", "s.parquet", "--device", "cpu", "--threads", "1", "--embedding"]
    assert main(score) == 0
    capsys.readouterr()
    assert main(["selection", "observe", "s.parquet", "i.zarr", "o.parquet", "--workers", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["action"], told["rows"], told["observed"]) == ("observe", 6, 6)
    one, other = (read_table(str(here / name)) for name in ("m", "o.parquet"))
    in_store = ("cutout_path", "cutout_index")  # scores of a store name its cutouts; measure keeps none
    assert one.column_names == [name for name in other.column_names if name not in in_store]
    assert one["logit"].to_pylist() == pytest.approx(other["logit"].to_pylist(), abs=1e-4)
    assert one["obs_theta"].to_pylist() == other["obs_theta"].to_pylist()
    assert pa.types.is_fixed_size_list(one["embedding"].type)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("observe", "none.parquet", "hosts.zarr", "o.parquet"), "none.parquet: no such file"),
        (("observe", "hosts.parquet", "none.zarr", "o.parquet"), "none.zarr: no such store"),
        (("observe", "hosts.parquet", "hosts.zarr", "o.txt"), "o.txt"),
        (("measure", "none", "hosts.parquet", "hosts.zarr", "o"), "not a frozen model"),
        (("measure", "frozen", "hosts.parquet", "hosts.zarr", "o", "--control", "grey-ish"), "grey-ish"),
        (("measure", "frozen", "hosts.parquet", "hosts.zarr", "o", "--part", "0/2"), "'0/2' is not a part"),
        (("measure", "frozen", "hosts.parquet", "hosts.zarr", "o", "--psf-beta", "nan"), "--psf-beta"),
        (("measure", "frozen", "hosts.parquet", "hosts.zarr", "hosts.zarr"), "hosts.zarr exists"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_writes_nothing(here, capsys, arguments, message):
    before = sorted(path.name for path in here.iterdir())
    assert main(["selection", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert sorted(path.name for path in here.iterdir()) == before


def test_an_embedding_is_refused_where_the_format_has_no_lists(here, capsys):
    assert main(["score", "frozen", "hosts.zarr", "s.csv", "--embedding"]) == 2
    assert "csv holds no lists" in capsys.readouterr().err
