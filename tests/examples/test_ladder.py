"""The ladder: injections weighted as a population, rungs compared in pairs, lines and figure; on made-up tables."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import Step, chain_of, stamp
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.survey import LS_DR10

ROOT = Path(__file__).resolve().parents[2]
CHAIN = (Step("selection measure", {"made": "up"}),)


@pytest.fixture(scope="module")
def ladder():
    return runpy.run_path(str(ROOT / "examples/selection/ladder.py"))


def injections(count: int = 4000, seed: int = 0, easier: float = 0.0, pixels: int = 40) -> pa.Table:
    """By the default design; arcs that are wide and bright are found."""
    random = np.random.default_rng(seed)
    theta_e = np.exp(random.uniform(np.log(0.5), np.log(3.5), count))
    lensed_mag = random.uniform(18.5, 24, count)
    logit = 3 * np.log(theta_e) - 1.5 * (lensed_mag - 21) + random.normal(0, 0.5, count) + easier
    columns = {
        "galaxy_id": [f"h{i // 5}#{i % 5}" for i in range(count)],
        "healpix_128": np.arange(count) // 5 % pixels,
        "theta_e": theta_e,
        "lensed_mag_r": lensed_mag,
        "magnification": 2 / np.sqrt(1 - random.random(count)),
        "logit": logit,
        "logit_host": np.where(np.arange(count) < 10, 1.0, -3.0),
    }
    return stamp(pa.table(columns), CHAIN)


def folder(path: Path, ladder) -> Path:
    """What ladder.mk leaves behind, as far as it is read."""
    (path / "receipts").mkdir(parents=True)
    for number, name in enumerate(ladder["RUNGS"]):
        (path / f"fit-{name}" / "tables").mkdir(parents=True)
        (path / f"fit-{name}" / "selection.json").write_text(json.dumps({"thresholds": [{"logit": 0.0}]}))
        write_table(injections(easier=0.3 * number), str(path / f"fit-{name}" / "tables" / "injections.parquet"))
        average = {"within": {"value": 0.1, "low": 0.05, "high": 0.2}}
        said = {"plug_in": average, "importance": average, "reasons": []}
        if name == "hosts":
            said = {"plug_in": None, "importance": None, "reasons": ["too few hosts"]}
        (path / "receipts" / f"{name}.json").write_text(json.dumps({"completeness": said}) + "\n")
    return path


def test_weights_make_of_the_design_the_population(ladder):
    table = injections(400_000)
    weight = ladder["weights_of"](table)
    theta_e, lensed_mag, mu = (np.asarray(table[n]) for n in ("theta_e", "lensed_mag_r", "magnification"))
    share = weight / weight.sum()
    assert (share * theta_e).sum() == pytest.approx(0.5 + 2 * ladder["SCALE_ARCSEC"], abs=0.01)
    assert (share * theta_e**2).sum() - 1.1**2 == pytest.approx(2 * ladder["SCALE_ARCSEC"] ** 2, abs=0.02)
    bright, faint = (share[(lensed_mag > m) & (lensed_mag < m + 0.5)].sum() for m in (21, 22))
    assert faint / bright == pytest.approx(10**0.3, rel=0.05)
    asked, nature = (np.average(np.log(mu), weights=w) for w in (np.ones(len(mu)), share))
    assert nature == pytest.approx(asked + 2.5 * 0.3 / (2 * (2 - 2.5 * 0.3)), abs=0.03)  # of mu^-3 and mu^(0.75 - 3)


def test_injections_become_lenses_with_their_steps_and_without_scores(ladder, tmp_path):
    write_table(injections(), str(tmp_path / "i.parquet"))
    ladder["main"]("weigh", str(tmp_path / "i.parquet"), str(tmp_path / "l.parquet"))
    made = read_table(str(tmp_path / "l.parquet"))
    assert "logit" not in made.column_names
    np.testing.assert_array_equal(made["weight"].to_numpy(), ladder["weights_of"](injections()))
    assert [step.command for step in chain_of(made)] == ["selection measure"]


def test_shares_are_those_of_the_rows_and_hosts_above_the_threshold_are_left_out(ladder):
    table = injections()
    found = ladder["compared"]({"origin": ladder["sums"](table, 0.0)})["origin"]
    kept = np.asarray(table["logit_host"]) < 0
    detected, weight = np.asarray(table["logit"]) >= 0, ladder["weights_of"](table)
    assert kept.sum() == len(kept) - 10
    assert found["box"][0] == pytest.approx(detected[kept].mean())
    assert found["population"][0] == pytest.approx(np.average(detected[kept], weights=weight[kept]))
    assert found["population"][0] < found["box"][0]
    assert found["box_change"] == (0.0, 0.0, 0.0)


def test_rungs_of_the_same_galaxies_are_compared_in_pairs(ladder):
    """A change that is the same everywhere is known better than either share."""
    random = np.random.default_rng(1)
    per_pixel = np.stack([np.full(40, 100.0), 50 + random.integers(-20, 20, 40)] * 2, axis=1)
    more = per_pixel + np.array([0.0, 5.0, 0.0, 5.0])
    found = ladder["compared"]({"origin": (np.arange(40), per_pixel), "all": (np.arange(40), more)})["all"]
    assert found["box_change"] == pytest.approx((0.05, 0.05, 0.05))
    assert found["box"][2] - found["box"][1] > 0.04


def test_intervals_hold_the_truth_as_often_as_they_say(ladder):
    held = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        found = random.binomial(50, np.clip(random.normal(0.3, 0.1, 40), 0, 1)).astype(float)
        each = np.stack([np.full(40, 50.0), found] * 2, axis=1)
        _, low, high = ladder["compared"]({"origin": (np.arange(40), each)})["origin"]["box"]
        held.append(low <= 0.3 <= high)
    assert 0.87 <= np.mean(held) <= 0.99


def test_the_lines_and_the_figure_are_of_every_rung_and_the_same_twice(ladder, tmp_path, capsys):
    work = folder(tmp_path / "work", ladder)
    for name in ("one", "two"):
        ladder["main"]("draw", str(work), str(tmp_path / f"{name}.png"))
    first, second = np.array_split(capsys.readouterr().out.splitlines(), 2)
    assert list(first) == list(second)
    assert len(first) == 5 + 6 + 5
    assert first[0].startswith("red sources, gain 150, confusers as hosts: box mean 0.")
    assert any(line.startswith("change by all together: +0.") or "all together: -0." in line for line in first)
    assert "apply, early types: too few hosts" in first
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with pytest.raises(SystemExit, match="no action 'climb'"):
        ladder["main"]("climb", "a", "b")


def test_the_designs_are_ones_that_inject_reads(ladder):
    from lensctl.injection.design import DEFAULT, read_design
    from lensctl.injection.preparing import _gains_of_file

    red = read_design(ROOT / "examples/selection/red.yaml")
    assert red.colour_1[0] == 1.15
    assert red.theta_e_arcsec == DEFAULT.theta_e_arcsec
    assert set(_gains_of_file(str(ROOT / "examples/selection/gain-150.yaml"), LS_DR10).values()) == {150.0}
    assert ladder["LEAST_ARCSEC"] == DEFAULT.theta_e_arcsec[0]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_recipe_makes_each_rung_by_its_own_galaxies_design_and_gain(tmp_path):
    (tmp_path / "pool.parquet").touch()
    line = ["make", "-n", "-f", "examples/selection/ladder.mk", f"FROM={tmp_path}", f"WORK={tmp_path / 'work'}"]
    said = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT).stdout.replace("\\\n", " ")
    measured = [each.split() for each in said.splitlines() if "selection measure" in each]
    rungs = {words[6].rpartition("-")[2]: words for words in measured}
    galaxies = {name: Path(words[4]).stem for name, words in rungs.items()}
    assert galaxies == {"origin": "any", "colours": "any", "gain": "any", "hosts": "early", "all": "early"}
    assert {name for name, words in rungs.items() if "--design" in words} == {"origin", "gain", "hosts"}
    assert {name for name, words in rungs.items() if "--gain" in words} == {"origin", "colours", "hosts"}
