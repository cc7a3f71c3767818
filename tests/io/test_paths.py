"""One path or several, wherever Python code gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lensctl.io.paths import listed


@pytest.mark.parametrize("one", ["a/b.fits", Path("a/b.fits")])
def test_one_path_is_not_taken_letter_by_letter(one):
    assert listed(one) == listed([one]) == listed(iter((one,))) == ["a/b.fits"]


def test_several_keep_their_order():
    assert listed([Path("b"), "a"]) == ["b", "a"]
    assert listed(()) == []
