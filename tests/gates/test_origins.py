"""Layer ls-dr10 serves northern pixels too, and where it does is known from the position."""

from __future__ import annotations

from tests.toys.judging import CUTOUTS, failed, judge_facts
from tests.toys.manifests import with_rows


def test_homogeneity_catches_northern_pixels_of_the_same_layer(tmp_path):
    layer = ["ls-dr10"] * 20
    table = with_rows(CUTOUTS, list(range(20)), ra=180.0, dec=32.0)
    assert failed(judge_facts(tmp_path, table, layer=layer)) == []
    (tmp_path / "north").mkdir()
    table = with_rows(table, [3, 4], dec=33.0)
    assert failed(judge_facts(tmp_path / "north", table, layer=layer)) == ["one survey"]
    (tmp_path / "south").mkdir()
    table = with_rows(table, [3, 4], ra=20.0)  # south of the Galactic plane there is no northern survey
    assert failed(judge_facts(tmp_path / "south", table, layer=layer)) == []
