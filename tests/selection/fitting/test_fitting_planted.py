"""p_det of networks whose logit is a known function of the pixels comes back by way of inject, score and fit."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lensctl.inject import inject
from lensctl.io.cutouts.store import open_store
from lensctl.io.tables.files import read_table
from lensctl.score import score
from lensctl.selection import fit
from lensctl.selection.fitting import folder as fit_folder
from lensctl.selection.loading import load_selection
from tests.toys import known_networks

DESIGN = """\
theta_e_arcsec: [0.7, 2.9]
lensed_mag: [19.5, 23.5]
source_r_half_arcsec: [0.1, 0.6]
source_n: [0.5, 2.4]
clumpy_share: 0.0
"""
PARTS = 4
FEWEST_MISSED = 25
"""Rows of a bin that were found, and that were missed, for its share to have an interval."""


class Sky:
    """Hosts with injections, and as many other hosts with injections of another seed, by which truth is counted."""

    def __init__(self, folder: Path, *, hosts: int, per_host: int, more: int, seed: int = 0) -> None:
        (folder / "design.yaml").write_text(DESIGN)
        self.folder, how = folder, {"workers": 1, "design": folder / "design.yaml"}
        self.hosts = known_networks.hosts(folder / "hosts", hosts, seed)
        others = known_networks.hosts(folder / "others", hosts, seed + 1000)
        self.add = functools.partial(inject, self.hosts.table, self.hosts.store, per_host=per_host, seed=seed, **how)
        self.add(folder / "plain.zarr")
        inject(others.table, others.store, folder / "truth.zarr", per_host=more, seed=seed + 1, **how)
        truth = open_store(folder / "truth.zarr")
        self.index, self.images = truth.index, truth.read(np.arange(truth.n))

    def fitted(self, name: str, model: Path, *, rounds: int = 200, control: str = "") -> SimpleNamespace:
        """The selection function of a known network, its folder, and what truth the other injections have."""
        out = self.folder / f"{name}-{control}"
        plain, hosts, grey = (self.folder / f"{name}-{what}.parquet" for what in ("plain", "hosts", "control"))
        with known_networks.network(name), pytest.MonkeyPatch.context() as patch:
            patch.setattr(fit_folder, "figures", lambda measured, maps: ())  # most of the time
            patch.setattr(fit_folder.page, "render", lambda contents: "")  # it would show them
            score(model, self.folder / "plain.zarr", plain, device="cpu", threads=1)
            score(model, self.hosts.store, hosts, device="cpu", threads=1)
            if control:
                score(model, self.folder / f"{control}.zarr", grey, device="cpu", threads=1)
            given = {"hosts": hosts, "frozen": model, "threshold": ["p=0.5"], "rounds": rounds}
            fit(plain, out, control=[grey] if control else (), **given)
        selection = load_selection(out, None).selection
        return SimpleNamespace(
            folder=out,
            scores=read_table(str(plain)),
            predictor=selection.predictor,
            axes=selection.axes,
            values={axis: np.asarray(self.index[axis].to_numpy(), float) for axis in selection.axes},
            detected=known_networks.known(name, self.images) >= 0,
        )


def judged(found: SimpleNamespace) -> SimpleNamespace:
    """Quarters of each axis, and of two together: how far p_det is from the share that is found, in standard errors."""
    part = {
        name: np.digitize(x, np.quantile(x, np.linspace(0, 1, PARTS + 1))[1:-1]) for name, x in found.values.items()
    }
    bins = [part[name] == i for name in part for i in range(PARTS)]
    bins += [(part["theta_e"] == i) & (part["arc_mag_r"] == j) for i in range(PARTS) for j in range(PARTS)]
    off, held = [], []
    for rows in bins:
        mean = found.predictor.mean({name: x[rows] for name, x in found.values.items()})
        share = found.detected[rows].mean()
        off.append(abs(mean.value - share))
        if min(found.detected[rows].sum(), (~found.detected[rows]).sum()) >= FEWEST_MISSED:
            p = found.predictor.predict({name: x[rows] for name, x in found.values.items()}).p
            of_count = 1.96 * np.sqrt((p * (1 - p)).sum()) / rows.sum()
            of_fit = (mean.high - mean.low) / 2
            held.append(off[-1] <= np.hypot(of_fit, of_count))
    return SimpleNamespace(off=float(np.mean(off)), held=float(np.mean(held)), bins=len(held))


def of_controls(folder: Path) -> dict[str, dict]:
    return {row["control"]: row for row in read_table(str(folder / "tables/controls.parquet")).to_pylist()}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return functools.cache(lambda name: known_networks.freeze(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    made = Sky(tmp_path_factory.mktemp("sky"), hosts=150, per_host=5, more=5)
    made.add(made.folder / "grey.zarr", control="grey")
    return made


def test_p_det_of_a_flux_in_an_annulus_is_recovered(sky, models):
    found = sky.fitted("flux", models("flux"))
    images = open_store(sky.folder / "plain.zarr").read(np.arange(found.scores.num_rows))
    np.testing.assert_allclose(found.scores["logit"].to_numpy(), known_networks.known("flux", images), atol=2e-3)
    seen = judged(found)
    assert seen.off <= 0.03, seen
    assert seen.held >= 0.85, seen


def test_a_network_that_is_blind_in_bad_seeing_has_a_cliff_there(sky, models):
    found = sky.fitted("blind", models("blind"))
    seen = judged(found)
    assert seen.off <= 0.03, seen
    at = found.values["psfsize_r"]
    p = found.predictor.predict(found.values).p
    just_good, just_bad = (
        (at > 1.25) & (at < known_networks.WORST_PSFSIZE),
        (at > known_networks.WORST_PSFSIZE) & (at < 1.55),
    )
    assert p[just_good].mean() == pytest.approx(found.detected[just_good].mean(), abs=0.05)
    assert p[just_good].mean() > 0.35
    assert p[just_bad].mean() < 0.05
    assert not found.detected[just_bad].any()


def test_grey_arcs_expose_a_network_that_sees_colour_alone(sky, models):
    row = of_controls(sky.fitted("colour", models("colour"), control="grey").folder)["grey"]
    assert row["p_unchanged"] > 0.4
    assert row["p"] <= 0.01, "no more than hosts, none of which is above the threshold"
    assert row["difference_high"] < -0.3


def test_grey_arcs_change_nothing_for_a_network_that_sees_shape_alone(sky, models):
    row = of_controls(sky.fitted("shape", models("shape"), control="grey").folder)["grey"]
    assert row["p_unchanged"] > 0.4
    assert row["difference"] == 0.0


@pytest.mark.soak
@pytest.mark.parametrize("name", ["flux", "blind"])
def test_intervals_hold_what_is_found_on_20_skies(name, models, tmp_path):
    found = []
    for seed in range(20):
        (tmp_path / str(seed)).mkdir()
        sky = Sky(tmp_path / str(seed), hosts=500, per_host=5, more=10, seed=seed)
        found.append(judged(sky.fitted(name, models(name), rounds=500)))
    assert np.mean([one.off for one in found]) <= 0.02
    assert max(one.off for one in found) <= 0.03
    assert np.mean([one.held for one in found]) >= 0.90
