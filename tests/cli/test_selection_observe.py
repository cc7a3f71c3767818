"""`lensctl selection observe` as people call it: receipt, pipe, refused overwrite, the same bytes twice."""

from __future__ import annotations

import json

import pytest

from lensctl.cli.main import main
from lensctl.io.tables.files import read_table
from tests.toys.observed import make_scored

LINE = ["selection", "observe", "scores.parquet", "injected.zarr", "seen.parquet", "--workers", "1"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    make_scored(tmp_path, 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_says_what_it_made_in_one_line_and_twice_the_same_bytes(here, capsys):
    assert main(LINE) == 0
    said = json.loads(capsys.readouterr().out)
    assert said.pop("seconds") >= 0
    assert said == {"command": "selection", "action": "observe", "output": "seen.parquet", "rows": 6, "observed": 6,
                    "left_out": {}}  # fmt: skip
    first = (here / "seen.parquet").read_bytes()
    assert main(LINE) == 2
    assert "seen.parquet exists" in capsys.readouterr().err
    assert (here / "seen.parquet").read_bytes() == first
    assert main([*LINE, "--overwrite"]) == 0
    assert (here / "seen.parquet").read_bytes() == first


def test_a_table_comes_and_goes_through_pipes(here, lensctl):
    piped = lensctl("selection", "observe", "-", "injected.zarr", "-", "--format", "csv", "--workers", "1",
                    stdin=_csv(here))  # fmt: skip
    assert piped.returncode == 0, piped.stderr
    assert "obs_theta" in piped.stdout.partition("\n")[0]
    assert len(piped.stdout.splitlines()) == 7


def _csv(folder) -> bytes:
    table = read_table(str(folder / "scores.parquet")).select(["galaxy_id", "logit"])
    return ("galaxy_id,logit\n" + "".join(f"{r['galaxy_id']},{r['logit']}\n" for r in table.to_pylist())).encode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([*LINE[:3], "nowhere.zarr", "o.parquet"], "nowhere.zarr: no such store"),
        ([*LINE[:2], "nothing.parquet", "injected.zarr", "o.parquet"], "nothing.parquet"),
        ([*LINE[:4], "o.txt"], "o.txt"),
        ([*LINE[:4], "o.parquet", "--workers", "0"], "--workers"),
        ([*LINE[:4], "o.parquet", "--survey", "hsc"], "hsc"),
        (["selection", "observ"], "No such command"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_exit_2_and_nothing_written(here, capsys, line, message):
    before = sorted(here.iterdir())
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert (out, message in err, "Traceback" in err) == ("", True, False), err
    assert sorted(here.iterdir()) == before
