"""Early-type galaxies have company, lenses as much as galaxies like them; objects keep their distance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.metrics import roc_auc_score

from lensctl.rules.survey import LS_DR10
from lensctl.sky import places, pointings
from lensctl.sky.objects import population
from lensctl.sky.pointings import Size, generator


def auc(one: np.ndarray, other: np.ndarray) -> float:
    return float(roc_auc_score(np.repeat([1, 0], [len(one), len(other)]), np.concatenate([one, other])))


@pytest.fixture(scope="module")
def galaxies() -> dict[str, np.ndarray]:
    """Galaxies of a sky without pixels, and the number of others within 15 arcsec of each."""
    parts: list[dict[str, np.ndarray]] = []
    for p in pointings.plan(11, Size(18_000, 1800)):
        rng = generator(11, p.index)
        objects, kind, _ = population.galaxies(rng, p.galaxies, LS_DR10, p.style, p.host_types)
        x, y = places.places(rng, p, len(kind) + 10, objects["central"].astype(int))
        tree = cKDTree(np.stack([x, y], axis=1)[: len(kind)])
        near = tree.query_ball_point(tree.data, places.GROUP_ARCSEC / 0.262, return_length=True) - 1
        is_lens = np.arange(len(kind)) < p.confident + p.probable
        parts.append({**objects, "kind": kind, "near": near, "is_lens": is_lens})
        assert places.inside(p, x, y).all()
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_early_types_have_the_stated_number_of_companions_more_than_others(galaxies):
    early = galaxies["kind"] == "early"
    more = galaxies["near"][early].mean() - galaxies["near"][~early].mean()
    assert more == pytest.approx(places.COMPANIONS, abs=0.12)


def test_company_tells_lenses_from_all_galaxies_but_not_from_galaxies_like_them(galaxies):
    """A gate that compares lenses with unmatched negatives would take company for a shortcut."""
    lens = galaxies["is_lens"]
    alike = (galaxies["kind"] == "early") & ~lens & (galaxies["mag_z"] < population.HOST_FAINTEST_MAG_Z)
    assert auc(galaxies["near"][lens], galaxies["near"][~lens]) > 0.55
    weights = np.histogram(galaxies["mag_z"][lens], bins=np.arange(17.4, 20.5, 0.25))[0]
    rows = np.digitize(galaxies["mag_z"], np.arange(17.4, 20.5, 0.25)) - 1
    rng = np.random.default_rng(1)
    drawn = np.concatenate([rng.choice(np.flatnonzero(alike & (rows == i)), n) for i, n in enumerate(weights) if n])
    assert auc(galaxies["near"][lens], galaxies["near"][drawn]) == pytest.approx(0.5, abs=0.04)


def test_members_lie_around_their_centre_and_nobody_nearer_than_objects_can_be_told():
    p = pointings.plan(3, Size(260, 20))[0]
    rng = generator(3)
    objects, _, _ = population.galaxies(rng, 60, LS_DR10)
    central = objects["central"].astype(int)
    x, y = places.places(rng, p, 66, central)
    member = np.flatnonzero(central >= 0)
    distance = np.hypot(x[member] - x[central[member]], y[member] - y[central[member]]) * 0.262
    assert len(member)
    assert places.SEPARATION_ARCSEC <= distance.min() <= distance.max() <= places.GROUP_ARCSEC
    nearest = cKDTree(np.stack([x, y], axis=1)).query(np.stack([x, y], axis=1), 2)[0][:, 1]
    assert nearest.min() * 0.262 >= places.SEPARATION_ARCSEC - 1e-9
