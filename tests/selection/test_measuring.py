"""`selection measure` gives what inject, score and observe give, in parts or at once, and resumes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.clock import Clock
from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table
from lensctl.rules.errors import InputError
from lensctl.selection import measure, measuring, observe
from tests.toys import frozen
from tests.toys.folders import tree
from tests.toys.reporters import Saying

HOW = {"per_host": 2, "workers": 1, "device": "cpu", "threads": 1}


@pytest.fixture(autouse=True)
def _tiny():
    with frozen.tiny_network():
        yield


@pytest.fixture(scope="module")
def made(model, hosts, tmp_path_factory):
    out = tmp_path_factory.mktemp("measured") / "m"
    with frozen.tiny_network():
        measure(model, hosts.table, hosts.store, out, embedding=True, shard_rows=5, **HOW)
    return out


def test_the_rows_are_those_of_inject_score_and_observe(made, scores, injected, tmp_path):
    observe(scores, injected, tmp_path / "o.parquet", workers=1)
    wanted, found = read_table(str(tmp_path / "o.parquet")), read_table(str(made))
    assert found.column_names == wanted.column_names
    for name in wanted.column_names:
        assert found[name].type == wanted[name].type, name
        if pa.types.is_floating(wanted[name].type):
            ours, theirs = (t[name].to_numpy(zero_copy_only=False).astype(float) for t in (found, wanted))
            np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=name)
        else:
            assert found[name].to_pylist() == wanted[name].to_pylist(), name
    assert chain_of(found)[-1].command == "selection measure"
    assert {"train", "manifest"} <= {step.command for step in chain_of(found)}


def test_parts_make_the_same_bytes_and_finish_needs_them_all(made, model, hosts, tmp_path):
    out, how = tmp_path / "m", {"embedding": True, "shard_rows": 5, **HOW}
    measure(model, hosts.table, hosts.store, out, part="2/2", **how)
    assert not out.exists()
    with pytest.raises(InputError, match="2 of 4 files are missing, first 0"):
        measure(model, hosts.table, hosts.store, out, finish=True, **how)
    measure(model, hosts.table, hosts.store, out, part="1/2", **how)
    measure(model, hosts.table, hosts.store, out, finish=True, **how)
    assert tree(out) == tree(made)


def test_an_interrupted_run_resumes_with_what_is_missing_and_a_finished_one_has_nothing_to_do(
    made, model, hosts, tmp_path, monkeypatch
):
    out, how, whole = tmp_path / "m", {"embedding": True, "shard_rows": 5, **HOW}, measuring.scored
    calls: list[int] = []

    def fails_at_third(seen, scorer):
        calls.append(seen.shard)
        if len(calls) == 3:
            raise OSError("no space")
        return whole(seen, scorer)

    monkeypatch.setattr(measuring, "scored", fails_at_third)
    with pytest.raises(OSError, match="no space"):
        measure(model, hosts.table, hosts.store, out, **how)
    assert not out.exists()
    assert measure(model, hosts.table, hosts.store, out, **how)["measured"] == 8
    assert calls == [0, 1, 2, 2, 3]
    assert tree(out) == tree(made)
    told = Saying()
    assert measure(model, hosts.table, hosts.store, out, report=told, **how)["measured"] == 0
    assert any("up to date" in line for line in told.said)
    with pytest.raises(InputError, match="exists"):
        measure(model, hosts.table, hosts.store, out, seed=1, **how)


def test_what_cannot_be_measured_is_a_sentence(model, hosts, tmp_path):
    for arguments, how, message in (
        ((model.parent / "run", hosts.table, hosts.store, "o"), {}, "not a frozen model"),
        ((model, hosts.table, hosts.store, "-"), {}, "not a stream"),
        ((model, hosts.table, hosts.store, tmp_path / "o.parquet"), {}, "becomes a folder of parquet files"),
        ((model, hosts.table, hosts.store, tmp_path / "o.csv"), {}, "not a .csv file"),
        ((model, hosts.table, hosts.store, "o"), {"part": "3/2"}, "'3/2' is not a part"),
        ((model, hosts.table, hosts.store, "o"), {"control": "none"}, "none"),
    ):
        with pytest.raises(InputError, match=message):
            measure(*arguments, **{**HOW, **how})


def test_a_dry_run_makes_nothing(model, hosts, tmp_path):
    told = measure(model, hosts.table, hosts.store, tmp_path / "m", dry_run=True, **HOW)
    assert (told["rows"], told["hosts"], told["dry_run"]) == (18, 9, True)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_how_long_it_takes_by_the_time_of_the_first_injections(model, hosts, tmp_path, monkeypatch):
    ticks = iter([100.0, 160.0])
    monkeypatch.setattr(measuring, "TIMED_ROWS", 3)
    monkeypatch.setattr(measuring, "CLOCK", Clock(lambda: next(ticks), lambda seconds: None))
    told = measure(model, hosts.table, hosts.store, tmp_path / "m", dry_run=True, **HOW)
    assert told["hours"] == pytest.approx(18 * 20 / 3600)  # 60 seconds for 3 of 18
