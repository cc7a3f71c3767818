"""The lens catalogue has every lens on its galaxy, in lenscat's format and with its troubles."""

from __future__ import annotations

import csv

import numpy as np

from lensctl.astro.geometry import groups_within
from tests.toys.small_sky import SMALL


def test_the_lens_catalogue_is_lenscats_and_has_its_troubles(root, truth, tractor):
    with (root / "lenses.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["name", "RA [deg]", "DEC [deg]", "zlens", "type", "grading", "ref"]
    ra, dec = (np.array([float(row[i]) for row in rows[1:]]) for i in (1, 2))
    names = [row[0] for row in rows[1:]]
    assert {row[5] for row in rows[1:]} == {"confident", "probable"}
    assert len({row[6] for row in rows[1:]}) >= 3
    assert any("DESI-" not in name for name in names)
    assert any(" | DESI-" in name for name in names)
    assert len(np.unique(groups_within(ra, dec, 3.0))) < len(names)
    at = np.concatenate([np.c_[ra, dec], np.c_[tractor["ra"], tractor["dec"]]])
    groups = groups_within(at[:, 0], at[:, 1], 60.0)
    assert (~np.isin(groups[: len(names)], groups[len(names) :])).any(), "none outside the footprint"


def test_every_lens_is_listed_on_its_galaxy(root, truth):
    with (root / "lenses.csv").open() as file:
        listed = np.array([[float(row["RA [deg]"]), float(row["DEC [deg]"])] for row in csv.DictReader(file)])
    lens = truth.filter(truth["is_lens"])
    assert lens.num_rows == SMALL.lenses
    for ra, dec in zip(lens["ra"].to_pylist(), lens["dec"].to_pylist(), strict=True):
        away = np.hypot((listed[:, 0] - ra) * np.cos(np.radians(dec)), listed[:, 1] - dec) * 3600
        assert away.min() < 0.5
