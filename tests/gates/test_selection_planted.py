"""Injectors with a planted fault fail `gate realism` or `gate selection`; one without passes both (SELECTION.md, 7.8).

The lenses are arcs by the same injector in other hosts with another seed: those of the mock sky lie nearer to the
lens than the default design's. The network finds the highest pixel of the arcs.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from lensctl.inject import inject
from lensctl.io.tables.files import read_table
from tests.toys import known_networks, planted
from tests.toys.hosts import make_hosts
from tests.toys.judging import failed, judge

DECIDES = "p=0.5: recall less mean p_det of A+B"
NETWORK = "peak"
CENTRED = "P1: mean offset of injected arcs along x, px"
BRIGHT = "P1: share of injections brighter than their table says"
SEEN_BY = {"arcs 2 px off": CENTRED, "flux * 1.5": BRIGHT}
"""Faults that real lenses do not show, seen in the injections alone: arcs beside their galaxies score as before, and
brighter arcs are arcs that the design has too."""


class Judged:
    """What both gates say of injections with each fault, against the same lenses."""

    def __init__(self, folder: Path, *, lenses: int, hosts: int) -> None:
        for name in ("model", "real"):
            (folder / name).mkdir()
        self.folder, self.hosts = folder, hosts
        self.model = known_networks.freeze(NETWORK, folder / "model")
        self.real = planted.lenses(self.model, NETWORK, folder / "real", lenses, 3)
        self.of = functools.cache(self._of)

    def _of(self, fault: str) -> dict:
        folder = self.folder / fault
        folder.mkdir()
        made = planted.selection(self.model, NETWORK, self.real, fault, folder, self.hosts, 5)
        return {check.check: check for check in (*judge("selection", made), *judge("realism", made))}


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return Judged(tmp_path_factory.mktemp("few"), lenses=120, hosts=100)


def test_without_a_fault_nothing_fails(few):
    assert failed(few.of("none").values()) == []
    assert few.of("none")[DECIDES].n > 100


def test_a_gain_of_one_exposure_is_missed(few):
    checks = few.of("gain 150")
    assert DECIDES in failed(checks.values())
    assert checks[DECIDES].note.startswith("missed")
    assert checks[DECIDES].value < -0.15, "photon noise of the arcs makes peaks that real arcs have not"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return Judged(tmp_path_factory.mktemp("many"), lenses=650, hosts=500)


@pytest.mark.soak
@pytest.mark.parametrize("fault", planted.FAULTS)
def test_faults_of_an_injector_are_seen_by_one_of_the_gates(many, fault):
    checks = many.of(fault)
    assert read_table(str(many.real)).num_rows >= 900
    missed = set(failed(checks.values()))
    assert bool(missed) == (fault != "none")
    assert missed & {CENTRED, BRIGHT} == ({SEEN_BY[fault]} if fault in SEEN_BY else set())


def test_flux_that_is_not_that_of_the_table_is_seen_by_the_gate_of_injections(tmp_path):
    made = make_hosts(tmp_path / "hosts", count=12)
    for fault in ("none", "flux * 1.5"):
        with planted.fault(fault, tmp_path) as options:
            inject(made.table, made.store, tmp_path / f"{fault}.zarr", per_host=2, workers=1, **options)
    honest, brighter = (failed(judge("injection", tmp_path / f"{fault}.zarr")) for fault in ("none", "flux * 1.5"))
    assert honest == []
    assert [name for name in brighter if "flux" in name]
