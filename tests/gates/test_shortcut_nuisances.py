"""What the shortcut gate sees of twenty nuisances, and how often it says no to honest classes."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from lensctl.comparing.matching import MOST_USES
from lensctl.gates import registry
from lensctl.gates.inputs import Inputs
from lensctl.rules.checks import Check
from tests.toys.cases import first
from tests.toys.manifests import galaxies, toy_manifest, with_store
from tests.toys.nuisances import NUISANCES, Sample, sample

PAGE = Path(__file__).resolve().parents[2] / "docs" / "science" / "gates.md"
POSITIVES = 200


def judged(folder: Path, spoilt: Sample, given: tuple[str, ...] = ()) -> list[Check]:
    folder.mkdir(parents=True, exist_ok=True)
    path = with_store(folder, spoilt.table, spoilt.images, **spoilt.facts)
    gate = registry.find("shortcut")
    return list(registry.run(gate, Inputs([str(path)]), registry.settings_for([gate], list(given))["shortcut"]))


def failed(checks: list[Check]) -> list[str]:
    return [check.check for check in checks if not check.passed]


@pytest.fixture(scope="module")
def honest() -> Sample:
    return sample(POSITIVES)


def spoilt(honest: Sample, name: str, strength: float) -> Sample:
    other = copy.deepcopy(honest)
    NUISANCES[name][2](other, strength)
    return other


def test_honest_lenses_among_neighbours_pass(tmp_path, honest):
    assert failed(judged(tmp_path, honest)) == []


@pytest.mark.parametrize(
    ("name", "strength", "check"),
    first(
        3,
        [
            ("level", 0.3, "AUC of level_g, matched"),
            ("PSF", 1.2, "AUC of sharpness_z, matched"),
            ("constant beyond", 50, "AUC of rim_noise_g, matched"),
            ("gradient", 1.0, "AUC of gradient_r, matched"),
            ("stripe at 45 px", 1.0, "AUC of stripe_z, matched"),
            ("hot corner pixel", 20.0, "AUC of corner_z, matched"),
        ],
    ),
)
def test_a_nuisance_is_seen_by_the_check_that_is_about_it(tmp_path, honest, name, strength, check):
    assert check in failed(judged(tmp_path, spoilt(honest, name, strength)))


def test_a_limit_can_be_moved_for_real_groups(tmp_path, honest):
    raised = spoilt(honest, "level", 0.05)
    assert any(check.startswith("AUC of level") for check in failed(judged(tmp_path / "usual", raised)))
    assert failed(judged(tmp_path / "moved", raised, ("shortcut.max_auc=1.0",))) == []


def pure_noise(positives: int, seed: int, pixels: int) -> Sample:
    """Alike classes of plain galaxies on so many pixels of the sky: what the gate is given in a simulation of noise."""
    table = toy_manifest(positives, max(400, 4 * positives), seed=1000 + seed)
    table = table.set_column(
        table.column_names.index("healpix_128"),
        "healpix_128",
        [np.random.default_rng(seed).integers(0, pixels, table.num_rows)],
    )
    images = galaxies(table, seed=seed, size=64)
    lenses = np.flatnonzero(table["label"].to_numpy() == 1)
    return Sample(table, images, np.zeros(1), np.ones(table.num_rows), lenses)


@pytest.mark.parametrize("seed", first(1, range(3)))
def test_alike_classes_in_eighteen_pixels_pass(tmp_path, seed):
    assert failed(judged(tmp_path, pure_noise(40, seed, 18))) == []


@pytest.mark.soak
@pytest.mark.parametrize("positives", [40, 330, 1000])
@pytest.mark.parametrize("pixels", [18, 300])
def test_at_most_two_of_forty_alike_sets_fail(tmp_path, positives, pixels):
    no = [seed for seed in range(40) if failed(judged(tmp_path / str(seed), pure_noise(positives, seed, pixels)))]
    assert len(no) <= 2, no


def test_cutouts_without_any_source_are_no_and_not_a_bug(tmp_path):
    empty = sample(40)
    empty.signal[:] = 0.0
    checks = judged(tmp_path, empty)
    no = {check.check: check.note for check in checks if not check.passed}
    assert "AUC of centroid_r, matched" in no


def test_balance_is_reported_and_no_negative_serves_too_many(tmp_path, honest):
    found = next(c for c in judged(tmp_path, honest) if c.check.startswith("largest standardised"))
    assert found.passed
    assert not found.limit
    assert abs(found.value) < 0.25
    for name in ("flux_z", "g_minus_r", "r_minus_z", "psfsize_z", "nobs_z", "unmatched positives: "):
        assert name in found.note
    assert int(found.note.split("serves at most ")[1].split()[0]) <= MOST_USES


@pytest.mark.soak
def test_the_table_of_what_is_seen_is_made_anew(tmp_path, honest):
    """Writes docs/science/gates.md, and holds it to what must be seen."""
    rows, seen = [], {}
    for name, (unit, strengths, _) in NUISANCES.items():
        cells = []
        for strength in strengths:
            no = failed(judged(tmp_path / f"{name}-{strength}", spoilt(honest, name, strength)))
            seen[name, strength] = bool(no)
            first = next((c for c in no if "together" not in c), no[0] if no else "")
            more = f" and {len(no) - 1} more" if len(no) > 1 else ""
            cells.append(f"{strength:g}: " + (f"**seen**, {_short(first)}{more}" if no else "not seen"))
        rows.append(f"| {name}, {unit} | " + " | ".join(cells) + " |")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(PAGE_TEXT.format(positives=POSITIVES, rows="\n".join(rows)), encoding="utf-8")
    for name, (_, strengths, _) in NUISANCES.items():
        assert seen[name, strengths[-1]], f"{name} at {strengths[-1]:g}"


def _short(check: str) -> str:
    return check.removeprefix("AUC of ").removesuffix(", matched").removesuffix(", ratio of medians")


PAGE_TEXT = """# What the shortcut gate sees

The gate looks for what separates positives from negatives without lensing. Here each of twenty nuisances is planted in
all positives (or a share of them) of an honest set: {positives} positives with arcs and four times as many
negatives, made-up galaxies of different sizes with neighbours at random, in cutouts of 101 px. The table is made by
`make soak` (`tests/gates/test_shortcut_nuisances.py`); the first check that says no is named. A larger set sees
weaker ones: a check says no where the 95 % interval of its AUC lies beyond 0.60.

| nuisance | weak | middle | strong |
|---|---|---|---|
{rows}

## What it does not see
- Anything inside the radius of the arcs that looks like arcs: colours, sizes and types of sources, missing small or
  faint lenses. This is the selection function's business.
- A difference between lenses and their whole class of galaxies, such as mass or environment, beyond the matched type,
  flux, colours, PSF and exposures. Real groups are untested: lenses lie in denser places than galaxies of their look,
  and the level or gradient of the annulus may tell. `--set shortcut.max_auc=0.65` moves the limit.
- What is the same in both classes, and what differs between training data and the survey that is searched.
"""
