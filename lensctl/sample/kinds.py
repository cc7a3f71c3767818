"""The draws of `sample`, and which options belong to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lensctl.rules.errors import InputError

STRATIFIED, UNIFORM, HARD = "positives", "uniform", "hard"
"""Each draw by the option that asks for it."""

OWN = {
    STRATIFIED: (
        *("strata", "negatives_per_positive", "target_negative_count"),
        *("n1_n2_ratio", "stratification_bins", "strict"),
    ),
    UNIFORM: ("where",),
    HARD: ("count", "grades", "candidates", "manifest", "control"),
}
"""Options that only one draw has."""


def kind_of(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Which draw is asked for: a key of OWN. A uniform one may have positives, too, to stay away from.

    Parameters
    ----------
    given, defaults : mapping
        Values of the options, and those they have when not given.

    Raises
    ------
    InputError
        Not exactly one draw, or an option of another one.
    """
    kinds = [kind for kind in OWN if _given(kind, given, defaults)]
    kinds = [UNIFORM] if kinds == [STRATIFIED, UNIFORM] else kinds  # which then stays away from the positives
    if len(kinds) != 1:
        said = " and ".join(f"--{kind}" for kind in kinds)
        what = f"{said} exclude each other" if kinds else "nothing says which negatives to draw"
        raise InputError(
            what,
            "give --positives TABLE (stratified), --uniform N (each row of the pool as likely) or --hard SCORES (those "
            "that a model scored highest)",
        )
    (kind,) = kinds
    for other, names in OWN.items():
        stray = next((name for name in names if _given(name, given, defaults)), None)
        if other != kind and stray is not None:
            raise InputError(f"--{stray.replace('_', '-')} belongs to --{other}, not to --{kind}", "omit it")
    return kind


def _given(name: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    value, default = (list(v) if isinstance(v, list | tuple) else v for v in (given[name], defaults[name]))
    return bool(value != default)
