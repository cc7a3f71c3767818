"""Cases of a test of which the short run takes some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first(usual: int, cases: Iterable[Any]) -> list[Any]:
    """The cases of a parametrized test: the first few are always run, the rest by `make soak`."""
    every = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case, marks=[pytest.mark.soak] if n >= usual else []) for n, case in enumerate(every)]
