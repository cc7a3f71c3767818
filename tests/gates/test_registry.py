"""Settings are checked by name and value, plug-ins keep to their own name, and no check is no pass."""

from __future__ import annotations

import pytest

from lensctl.gates import registry
from lensctl.io.provenance import digests
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError
from tests.toys.judging import MANIFEST, failed, judged
from tests.toys.surveys import WIDE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split.train=0.6,0.8", "did you mean 'splits'"),
        ("splits.trian=0.6,0.8", "did you mean 'train'"),
        ("splits.train=0.6", "setting splits.train is '0.6'"),
        ("splits.train=a,b", "setting splits.train"),
        ("splits.train=0.8,0.6", "setting splits.train is '0.8,0.6'"),
        ("splits.seed=1.5", "setting splits.seed"),
        ("overlap.radius_arcsec=nan", "setting overlap.radius_arcsec"),
        ("overlap.radius_arcsec=inf", "setting overlap.radius_arcsec"),
        ("splits.train=nan,0.8", "setting splits.train"),
        ("splits.train=0.6,nan", "setting splits.train"),
        ("shortcut.mag=nan", "setting shortcut.mag"),
        ("trained.level=best", "setting trained.level"),
        ("shortcut.partners=0", "setting shortcut.partners is '0'"),
        ("shortcut.folds=1", "setting shortcut.folds is '1'"),
        ("shortcut.nobs_z=1", "setting shortcut.nobs_z is '1'"),
        ("overlap.radius_arcsec=-1", "setting overlap.radius_arcsec is '-1'"),
        ("pixels.crop=-2", "setting pixels.crop is '-2'"),
        ("splits.train", "not gate.key=value"),
        ("train=1", "not gate.key=value"),
    ],
)
def test_a_setting_that_is_none_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        registry.settings_for([registry.find("weights")], [text])


def test_settings_of_other_gates_are_checked_and_passed_over():
    gate = registry.find("weights")
    assert registry.settings_for([gate], ["splits.train=0.5,0.9"])["weights"] == gate.settings()
    assert registry.settings_for([gate], ["weights.tier_a=2", "weights.tier_a=3"])["weights"].tier_a == 3.0


def test_a_gate_that_makes_no_check_has_not_passed(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_GATES", dict(registry._GATES))

    @registry.gate("idle")
    def idle(inputs, settings):
        """Nothing."""
        yield from ()

    assert failed(judged(tmp_path, "idle", MANIFEST)) == ["checks made"]


def test_a_plug_in_cannot_take_a_gates_name():
    registry.find("weights")
    with pytest.raises(InputError, match=r"one in lensctl\.gates\.weights and one in tests\.gates\.test_registry"):
        registry.gate("weights")(lambda inputs, settings: iter(()))


@pytest.mark.parametrize("name", ["", "list", "a,b", "a.b", "a b"])
def test_a_gate_has_a_name_that_can_be_typed(name):
    with pytest.raises(InputError, match="is not a valid gate name"):
        registry.gate(name)


def test_a_gate_cannot_speak_for_another(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_GATES", dict(registry._GATES))

    @registry.gate("forger")
    def forger(inputs, settings):
        """Nothing."""
        yield Check("pool", "all well", True, 1, input_digest="sha256:other")

    (check,) = judged(tmp_path, "forger", MANIFEST)
    assert (check.gate, check.input_digest) == ("forger", digests.of_table(MANIFEST))


def test_a_setting_is_accepted_by_its_former_name_and_the_last_value_wins():
    gate = registry.find("shortcut")
    found = registry.settings_for([gate], ["shortcut.mag_z=0.1", "shortcut.colour_2=0.4", "shortcut.r_minus_z=0.5"])
    settings = found["shortcut"]
    assert (settings.mag, settings.colour_1, settings.colour_2) == (0.1, 0.2, 0.5)
    with pytest.raises(InputError, match="did you mean 'psfsize_z'") as caught:
        registry.settings_for([gate], ["shortcut.psfsze_z=1"])
    assert "psfsize," in caught.value.fix
    assert "psfsize_z" not in caught.value.fix


def test_settings_that_follow_from_the_survey_are_the_surveys_and_can_be_set():
    gates = [registry.find(name) for name in ("splits", "pool", "pixels", "overlap")]
    found = registry.settings_for(gates, ["pool.seed=3"], WIDE)
    assert found["splits"].train == found["pool"].train == (0.55, 0.65)
    assert found["splits"].test == (0.17, 0.23)
    assert (found["splits"].seed, found["pool"].seed) == (7, 3)
    assert found["splits"].cutout_arcsec == pytest.approx(9.6)
    assert found["pixels"].size == 96
    assert found["overlap"].radius_arcsec == 5.0
    assert {"nobs_VIS", "nobs_VIS_bin"} <= set(found["pool"].critical)
    assert found["pool"].min_types == 2
    usual = registry.settings_for(gates, [])
    assert all(usual[gate.name] == gate.settings() for gate in gates)
