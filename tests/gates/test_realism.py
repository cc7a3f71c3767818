"""`gate realism`: passes tables that are alike; each check says no to the fault planted for it, and to that alone."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from lensctl.comparing import realism
from lensctl.comparing.realism import verdict
from lensctl.frozen.selection_level import LIMITS
from lensctl.gates.realism import Settings
from lensctl.injection import observables
from lensctl.io.provenance import digests
from lensctl.io.tables.files import read_table
from lensctl.rules import sampling_rule
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.stats.intervals import Estimate
from tests.toys.judging import failed, judge
from tests.toys.selection_tables import make, rows_of, table_of

P1, P2 = "P1: AUC of artefacts, matched", "P2: AUC of arcs, matched"
P3 = "P3: AUC of the model's embedding, matched"
MATCHED = "share of lenses matched in aperture magnitudes"
CENTRED = [f"P1: mean offset of injected arcs along {axis}, px" for axis in "xy"]
BRIGHT = "P1: share of injections brighter than their table says"
FOLDS = ("realism.folds=2",)


def shifted(*names, by):
    def plant(columns):
        for name in names:
            columns[name] = np.asarray(columns[name]) + by

    return plant


def scattered(name, by=0.0):
    """Arcs whose positions scatter by 7 px, as those of lenses do, about a place of their own."""

    def plant(columns):
        columns[name] = 7 * np.asarray(columns[name]) + by

    return plant


def named(checks):
    return {check.check: check for check in checks}


def test_tables_that_are_alike_pass_and_are_realistic(tmp_path):
    checks = named(judge("realism", make(tmp_path / "s")))
    assert failed(checks.values()) == []
    assert [checks[name].note for name in (P2, P3)] == ["realistic", "realistic"]
    assert checks[P1].low < 0.5 < checks[P1].high
    references = [name for name in checks if name.startswith("reference")]
    assert len(references) == 6
    assert all(0.3 < checks[name].value < 0.7 and not checks[name].limit for name in references)


@pytest.mark.parametrize(
    ("plant", "wanted"),
    [
        ({"injections": shifted("art_noise_g", by=1.5)}, [P1]),
        ({"injections": shifted("obs_delta_g_minus_r", "obs_theta", by=4)}, [P2]),
        ({"injections": scattered("obs_arc_x_px", by=2), "real": scattered("obs_arc_x_px")}, CENTRED[:1]),
        ({"injections": scattered("obs_arc_y_px", by=-2), "real": scattered("obs_arc_y_px")}, CENTRED[1:]),
        ({"injections": shifted("embedding", by=6)}, [P3]),
        ({"injections": shifted("obs_mag_z", "obs_mag_r", "obs_mag_g", by=6)}, [MATCHED, "matched lenses to judge"]),
        ({"real": lambda c: c.update(split=np.where(np.arange(150) == 7, "val", "test"))},
         ["lenses are of the test split"]),
        ({"real": lambda c: c.update(tier=np.full(150, "N1"))}, ["lenses to judge"]),
        ({"injections": lambda c: c.update(control=np.full(2500, "grey"))}, ["injections to judge"]),
        ({"injections": lambda c: c.update(vary=np.full(2500, "re+20"))}, ["injections to judge"]),
        ({"hosts": lambda c: c.update({name: np.asarray(v)[:0] for name, v in c.items()})}, ["hosts to judge"]),
    ],
)  # fmt: skip
def test_each_check_fails_by_the_fault_planted_for_it_and_by_no_other(tmp_path, plant, wanted):
    assert failed(judge("realism", make(tmp_path / "s", **plant), given=FOLDS)) == wanted


def arcs(columns, *, flux=1.0, redder_mag=0.0, noise=1.0, gaps=0.0):
    """Arcs of half a magnitude's scatter in flux, 0.3 mag in colour, on skies of 20 % scatter in noise."""
    rng = np.random.default_rng(len(columns["galaxy_id"]))
    count = len(columns["galaxy_id"])
    light = flux * rng.lognormal(0, 0.46, count)
    columns["obs_snr_g"], columns["obs_contrast"] = 40 * light, 0.3 * light * rng.lognormal(0, 0.3, count)
    columns["obs_delta_g_minus_r"] = rng.normal(-0.6, 0.3, count) + redder_mag
    columns["art_noise_g"] = noise * 0.003 * rng.lognormal(0, 0.2, count)
    columns["art_nan_frac"] = np.where(rng.random(count) < gaps, 0.02, 0.0)


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        ({}, []),
        ({"redder_mag": 0.9}, [P2]),
        ({"noise": 1.5}, [P1]),
        ({"gaps": 0.5}, [P1]),
        ({"flux": 1.5}, []),  # told from real arcs by their number at each brightness alone: closure judges it
    ],
)
def test_faults_of_injection_fail_the_check_that_sees_them(tmp_path, fault, wanted):
    folder = make(tmp_path / "s", real=arcs, injections=lambda columns: arcs(columns, **fault), hosts=arcs)
    checks = named(judge("realism", folder, given=FOLDS))
    assert failed(checks.values()) == wanted
    if "flux" in fault:
        assert checks[P2].value > 0.58
        assert "obs_snr_g" in checks[P2].note or checks[P2].note == "realistic"


@pytest.mark.parametrize(("times", "wanted"), [(1.0, []), (1.5, [BRIGHT])])
def test_more_light_than_was_added_is_seen(tmp_path, times, wanted):
    """Half to all of an arc's light lies in the aperture, so that of one half as bright again some is too much."""
    light = np.random.default_rng(3)
    mag_host, ids = light.uniform(19, 21, 500), [f"hosts_{h}" for h in range(500)]

    def hosts(columns):
        columns["obs_mag_g"] = mag_host

    def injections(columns):
        count = len(columns["galaxy_id"])
        host, mag = np.arange(count) // 5, light.uniform(20, 24, count)
        within = times * light.uniform(0.5, 1.0, count) * 10 ** (0.4 * (22.5 - mag))
        columns["host_id"] = np.array(ids)[host]
        columns["arc_mag_g"], columns["theta_e"] = mag, light.uniform(0.5, 1.5, count)
        columns["obs_mag_g"] = 22.5 - 2.5 * np.log10(within + 10 ** (0.4 * (22.5 - mag_host[host])))

    folder = make(tmp_path / "s", hosts_count=500, injections=injections, hosts=hosts)
    found = {check.check: check for check in judge("realism", folder, given=(*FOLDS, "realism.colour=9"))}
    assert [name for name in failed(found.values()) if name == BRIGHT] == wanted
    assert found[BRIGHT].limit == LIMITS[BRIGHT]
    assert found[BRIGHT].n == pytest.approx(2500 * 3 / 8, rel=0.1), "of arcs brighter than 23, within 1 arcsec"


def test_hosts_are_thinned_to_be_like_those_of_lenses(tmp_path):
    """Injections that are unlike lenses in hosts of little weight do not count; without a weight they do."""

    def unlike(columns):
        count = len(columns["galaxy_id"])
        light = np.arange(count) // 5 % 2 == 0
        columns["art_sharpness_z"] = np.asarray(columns["art_sharpness_z"]) + np.where(light, 4.0, 0.0)
        columns["host_weight"] = np.where(light, 0.0, 2.0)
        columns["host_id"] = np.array([id.partition("#")[0] for id in columns["galaxy_id"]])

    assert failed(judge("realism", make(tmp_path / "s", injections=unlike), given=FOLDS)) == []

    def unweighted(columns):
        unlike(columns)
        del columns["host_weight"]

    assert failed(judge("realism", make(tmp_path / "t", injections=unweighted), given=FOLDS)) == [P1]


def chosen(count, of=40_000):
    """Hosts as `lensctl hosts` chooses them: those of the lowest keys."""
    return sorted((f"h{i}" for i in range(of)), key=lambda id: sampling_rule.order_key(id, 42))[:count]


def test_the_share_of_hosts_that_is_kept_is_that_of_their_weight():
    hosts = [id for id in chosen(2_000) for _ in range(5)]
    weight = np.where(np.arange(10_000) // 5 % 4 == 0, 4.0, 1.0)
    table = pa.table({"galaxy_id": [f"{h}#{i % 5}" for i, h in enumerate(hosts)], "host_weight": weight})
    kept = realism._as_lenses_hosts(table, 42)
    assert kept[weight == 4].all()
    assert kept[weight == 1].mean() == pytest.approx(0.25, abs=0.04)
    assert (kept.reshape(-1, 5).std(axis=1) == 0).all()
    other = pa.table({"galaxy_id": hosts, "host_weight": pa.array([None] * 10_000, pa.float64())})
    assert not realism._as_lenses_hosts(other, 42).any()


def test_what_can_be_told_a_little_is_usable_and_names_what_tells_most(tmp_path):
    plant = {"injections": shifted("obs_asymmetry", by=1.2)}
    check = named(judge("realism", make(tmp_path / "s", **plant), given=FOLDS))[P2]
    assert check.passed
    assert 0.70 < check.value < 0.90
    assert check.note.startswith("usable; tell most: obs_asymmetry 0.")
    assert check.note.count(",") == 4


def test_without_an_embedding_nothing_is_judged_by_it(tmp_path):
    check = named(judge("realism", make(tmp_path / "s", embedding=False), given=FOLDS))[P3]
    assert (check.passed, check.value) == (True, None)
    assert "score with --embedding" in check.note


@pytest.mark.parametrize(
    ("estimate", "passed", "told", "word"),
    [
        ((0.6, 0.5, 0.69), True, True, "realistic"),
        ((0.71, 0.6, 0.8), True, True, "usable"),
        ((0.88, 0.8, 0.95), True, False, "usable"),
        ((0.92, 0.89, 0.95), True, False, "completeness is conditional on this source model"),
        ((0.95, 0.91, 0.98), False, True, "completeness is conditional on this source model"),
        ((0.95, None, None), False, True, "completeness is conditional on this source model"),
        ((None, None, None), False, True, "nothing to compare"),
    ],
)
def test_the_word_follows_the_value_and_the_judgement_the_interval(estimate, passed, told, word):
    check = verdict("P2", Estimate(*estimate), "a 0.9", Settings())
    assert (check.passed, check.told) == (passed, told)
    assert check.note.startswith(word)


def test_artefacts_that_are_told_less_than_by_chance_fail_too(tmp_path, monkeypatch):
    monkeypatch.setattr(realism, "auc_of_pairs", lambda *args, **how: Estimate(0.2, 0.1, 0.3, 10))
    assert P1 in failed(judge("realism", make(tmp_path / "s"), given=FOLDS))


def test_tables_that_cannot_be_judged_are_a_sentence(tmp_path):
    with pytest.raises(InputError, match="selection.json: cannot be read"):
        judge("realism", tmp_path)
    gone = make(tmp_path / "gone")
    (gone / "tables" / "real.parquet").unlink()
    with pytest.raises(InputError, match="real.parquet: no such file"):
        judge("realism", gone)
    without = make(tmp_path / "without")
    facts = json.loads((without / "selection.json").read_text())
    del facts["tables"]["real"]
    (without / "selection.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="was fitted without real lenses"):
        judge("realism", without)
    for number, (kind, plant, message) in enumerate(
        (
            ("hosts", lambda c: c.pop("art_nan_frac"), "hosts.parquet: column 'art_nan_frac' is missing"),
            ("real", lambda c: c.pop("tier"), "column 'tier' is missing"),
            ("real", lambda c: c.pop("split"), "column 'split' is missing"),
            ("injections", lambda c: c.update(healpix_128=np.full(2500, np.nan)), "healpix_128 is unknown"),
            ("real", lambda c: c.update(embedding=np.zeros((150, 3))), "embeddings of other lengths"),
            ("real", lambda c: c.update(obs_theta=np.full(150, "wide")), "obs_theta' is string"),
        )
    ):
        with pytest.raises(InputError) as error:
            judge("realism", make(tmp_path / str(number), **{kind: plant}), given=FOLDS)
        assert message in str(error.value)


def test_tables_that_were_changed_since_the_fit_are_refused(tmp_path):
    """Such as hosts of another selection function, which would be judged under the digest of this one."""
    folder = make(tmp_path / "s")
    other = make(tmp_path / "t", hosts=shifted("obs_theta", by=1))
    (folder / "tables" / "hosts.parquet").write_bytes((other / "tables" / "hosts.parquet").read_bytes())
    with pytest.raises(InputError, match=r"tables/hosts.parquet: was changed since the fit"):
        judge("realism", folder)


def test_every_line_has_the_digest_of_the_selection_function(tmp_path):
    folder = make(tmp_path / "s")
    digest = digests.of_file(folder / "selection.json")
    assert {check.input_digest for check in judge("realism", folder)} == {digest}


def test_hosts_need_no_observables(tmp_path):
    """`selection fit` asks for none: hosts are only a reference."""

    def bare(columns):
        for name in observables.names(LS_DR10):
            del columns[name]

    checks = named(judge("realism", make(tmp_path / "s", hosts=bare), given=FOLDS))
    assert failed(checks.values()) == []
    check = checks["reference, hosts against hosts"]
    assert (check.value, check.note) == (
        None, "the hosts were not observed: give those of `selection observe` to `selection fit`",
    )  # fmt: skip


def test_rows_that_are_no_lenses_may_be_of_any_split(tmp_path):
    def more(columns):
        columns["tier"] = np.where(np.arange(150) % 3 == 0, "N1", columns["tier"])
        columns["split"] = np.where(columns["tier"] == "N1", "train", "test")

    assert failed(judge("realism", make(tmp_path / "s", real=more), given=FOLDS)) == []


def test_halves_keep_the_injections_of_a_host_together(tmp_path):
    ids = np.array([f"{id}#{k}" for id in chosen(100) for k in range(5)])
    half = realism._half(ids, 42)
    assert 0.35 < half.mean() < 0.65
    assert len({(id.partition("#")[0], h) for id, h in zip(ids.tolist(), half.tolist(), strict=True)}) == 100


def test_the_toy_has_what_the_tables_of_a_selection_have(tmp_path):
    table = read_table(str(make(tmp_path / "s") / "tables" / "injections.parquet"))
    assert pa.types.is_fixed_size_list(table["embedding"].type)
    assert table.num_rows == table_of(rows_of(2500, "injections", 1)).num_rows
