"""Gates run on toy inputs in this process, and what they say."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lensctl.gates import registry
from lensctl.gates.inputs import Inputs
from tests.toys.manifests import evaluation, toy_manifest, with_store

MANIFEST = toy_manifest()


def toy_pool(n=4000):
    table = toy_manifest(0, n)
    pool = np.where(np.arange(n) % 5 == 0, "N2", "N1")
    return table.append_column("pool", pa.array(pool, pa.string()))


POOL = toy_pool()
SMALL = ("pool.min_rows=1000",)
CUTOUTS = toy_manifest(6, 14)
NOISE = np.random.default_rng(0).normal(0.02, 0.1, (20, 101, 101, 3)).astype(np.float32)


def judge(name, *paths, given=(), root=None):
    gate = registry.find(name)
    settings = registry.settings_for([gate], given)[name]
    return list(registry.run(gate, Inputs([str(path) for path in paths], root), settings))


def failed(checks):
    return [check.check for check in checks if not check.passed]


def saved(tmp_path, table, name="manifest.parquet"):
    pq.write_table(table, tmp_path / name)
    return tmp_path / name


def judged(tmp_path, name, table, given=()):
    return judge(name, saved(tmp_path, table), given=given)


def pc_label(table):
    return table["label"].to_numpy()


def judge_evaluation(tmp_path, given=(), **changes):
    (tmp_path / "metrics.json").write_text(json.dumps(evaluation(**changes)))
    return judge("trained", tmp_path, given=given)


def figure(value, **others):
    return {"value": value, "low": None, "high": None, "n": 58, "events": 40, **others}


def judge_facts(tmp_path, table=CUTOUTS, **facts):
    return judge("homogeneity", with_store(tmp_path, table, NOISE[:, :9, :9], **facts))
