"""Every gate is seen to fail, on its own fault and on nothing, and says the same of the same bytes."""

from __future__ import annotations

import json
import math

import pytest

from lensctl.gates import registry
from lensctl.rules.errors import InputError
from tests.toys.alike_classes import LENSES, PIXELS, TABLE
from tests.toys.injections import make_injections, spoiled
from tests.toys.judging import (
    CUTOUTS,
    MANIFEST,
    NOISE,
    POOL,
    SMALL,
    failed,
    figure,
    judge,
    judge_evaluation,
    judge_facts,
    judged,
)
from tests.toys.manifests import with_rows, with_store

EVERY = registry.BUILT_IN


def lenses_with_zeros():
    """Cutouts alike in both classes, but for rows of zeros in those of the lenses."""
    pixels = PIXELS.copy()
    pixels[LENSES, :3] = 0.0
    return pixels


def injections_of_another_flux(folder):
    """Injections whose table says another magnitude of the arcs."""

    def spoil(pixels, columns):
        columns["arc_mag_r"] += 0.2

    return spoiled(make_injections(folder, count=6), folder / "spoiled.zarr", spoil)


RED = {
    "pool": lambda folder: judged(folder, "pool", with_rows(POOL, [0], pool=None), SMALL),
    "splits": lambda folder: judged(folder, "splits", with_rows(MANIFEST, [0], split=None)),
    "overlap": lambda folder: judged(
        folder, "overlap", with_rows(MANIFEST, [999], galaxy_id=MANIFEST["galaxy_id"][0].as_py())
    ),
    "weights": lambda folder: judged(folder, "weights", with_rows(MANIFEST, [0], sample_weight=2.0)),
    "trained": lambda folder: judge_evaluation(folder, collapsed=True),
    "pixels": lambda folder: judge("pixels", with_store(folder, CUTOUTS, NOISE[:, :9, :9])),
    "homogeneity": lambda folder: judge_facts(folder, source=["viewer"] + ["coadd"] * 19),
    "shortcut": lambda folder: judge("shortcut", with_store(folder, TABLE, lenses_with_zeros())),
    "injection": lambda folder: judge("injection", injections_of_another_flux(folder)),
}
SPOILED = {
    "pool": "no nulls in critical columns",
    "splits": "split is train, val or test",
    "overlap": "no id is positive and negative",
    "weights": "tier A weighs 1",
    "trained": "no collapse",
    "pixels": "cutouts of another shape",
    "homogeneity": "one source",
    "shortcut": "excess of zeros in z",
    "injection": "flux of the arcs in r is that of arc_mag_r",
}
"""The check that must say no to each gate's RED input, among those that do."""


def nothing(tmp_path, name):
    if name == "trained":
        none = figure(None, n=0, events=0)
        return judge_evaluation(tmp_path, tier_a_recall=none, tier_a_auc=none, contaminant_fpr=none)
    if name == "injection":
        failed_hosts = lambda pixels, columns: columns.update(status=["http_error"] * len(columns["status"]))  # noqa: E731
        return judge(name, spoiled(make_injections(tmp_path, count=2), tmp_path / "none.zarr", failed_hosts))
    return judged(tmp_path, name, (POOL if name == "pool" else MANIFEST).slice(0, 0))


@pytest.mark.parametrize("name", EVERY)
def test_every_gate_fails_on_spoiled_input(tmp_path, name):
    checks = RED[name](tmp_path)
    assert SPOILED[name] in failed(checks)
    assert all(check.gate == name and check.input_digest for check in checks)


@pytest.mark.parametrize("name", EVERY)
def test_every_gate_fails_on_nothing(tmp_path, name):
    assert failed(nothing(tmp_path, name))


@pytest.mark.parametrize("name", EVERY)
def test_the_same_input_gives_the_same_bytes(tmp_path, name):
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    first, second = ([check.as_json() for check in RED[name](tmp_path / folder)] for folder in "12")
    assert first == second
    keys = ["gate", "check", "passed", "value", "low", "high", "limit", "n", "offenders", "input_digest"]
    assert all(list(json.loads(line))[:10] == keys for line in first)


@pytest.mark.parametrize("name", ["pool", "splits", "overlap", "weights"])
def test_a_missing_column_cannot_be_judged(tmp_path, name):
    needed = "healpix_128" if name in ("pool", "splits") else "sample_weight" if name == "weights" else "ra"
    table = POOL if name == "pool" else MANIFEST
    with pytest.raises(InputError, match=needed):
        judged(tmp_path, name, table.drop_columns([needed]))


@pytest.mark.parametrize("name", ["splits", "overlap"])
@pytest.mark.parametrize("bad", [{"ra": math.nan}, {"dec": None}, {"ra": 360.5}, {"dec": -90.5}])
def test_a_position_that_is_none_cannot_be_judged(tmp_path, name, bad):
    with pytest.raises(InputError, match="row 4"):
        judged(tmp_path, name, with_rows(MANIFEST, [4], **bad))
