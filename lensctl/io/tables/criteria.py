"""Selection criteria for negatives: a preset of the survey, with changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lensctl.astro import geometry
from lensctl.rules.config import nearest
from lensctl.rules.derived import magnitudes
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lensctl.io.tables import sweeps


@dataclass(frozen=True)
class Criteria:
    """What a negative must meet.

    Parameters
    ----------
    survey : Survey
    expressions : mapping
        Each criterion by name, as an expression over columns.
    exclude_arcsec : float
        Least distance from every lens.
    not_applied : tuple of str
        Criteria and confuser classes of the survey that need columns which its catalogue lacks.
    """

    survey: Survey
    expressions: Mapping[str, str]
    exclude_arcsec: float
    not_applied: tuple[str, ...] = ()

    def on(self, columns: Collection[str]) -> Criteria:
        """The criteria as far as a catalogue with these columns allows; the others are listed in `not_applied`."""
        there = {*columns, *_derivable(columns, self.survey)}

        def lacks(text: str) -> str:
            return ", ".join(name for name in self.survey.expression(text).columns if name not in there)

        missing = {text: lacks(text) for text in self.expressions.values()}
        classes = {name: lacks(text) for name, text in self.survey.confusers.items()}
        return dataclasses.replace(
            self,
            expressions={name: text for name, text in self.expressions.items() if not missing[text]},
            not_applied=(
                *(f"{text} (no {columns})" for text, columns in missing.items() if columns),
                *(f"class {name} (no {columns})" for name, columns in classes.items() if columns),
            ),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the catalogue that the criteria need."""
        named = (name for text in self.expressions.values() for name in self.survey.expression(text).columns)
        inputs = (next(iter(_inputs_of(name, self.survey)), (name,)) for name in named)
        return tuple(dict.fromkeys(column for columns in inputs for column in columns))

    def as_parameters(self) -> dict[str, Any]:
        """What a step records of them."""
        skipped = {"not_applied": list(self.not_applied)} if self.not_applied else {}
        return {"criteria": dict(self.expressions), "exclude_arcsec": self.exclude_arcsec, **skipped}


def criteria_of(
    survey: Survey = LS_DR10,
    preset: str | None = None,
    *,
    min_nobs: Mapping[str, int] | None = None,
    max_mag: Mapping[str, float] | None = None,
    others: Sequence[str] = (),
    exclude_arcsec: float | None = None,
) -> Criteria:
    """A preset of the survey, with changes.

    Parameters
    ----------
    preset : str, optional
        Default the survey's first.
    min_nobs, max_mag : mapping
        Least exposures, and the magnitude that rows must be brighter than, by band.
    others : sequence of str
        Further criteria: NAME=EXPRESSION replaces the criterion of that name, or adds one.
    exclude_arcsec : float, optional
        Default the survey's.

    Raises
    ------
    InputError
        Unknown preset or band, or not an expression.
    """
    preset = preset or next(iter(survey.criteria))
    if preset not in survey.criteria:
        raise InputError(
            f"no preset '{preset}'{nearest(preset, survey.criteria)}", f"use {' or '.join(survey.criteria)}"
        )
    changed = {f"nobs_{band}": f"nobs_{band} >= {least}" for band, least in (min_nobs or {}).items()}
    changed |= {f"mag_{band}": f"mag_{band} < {limit:g}" for band, limit in (max_mag or {}).items()}
    for band in (*(min_nobs or {}), *(max_mag or {})):
        if band not in survey.bands:
            raise InputError(f"survey {survey.name} has no band '{band}'", f"its bands are {', '.join(survey.bands)}")
    for text in others:
        name, equals, expression = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise InputError(f"'{text}' is not NAME=EXPRESSION", "such as ebv='ebv < 0.1'")
        survey.expression(expression)
        changed[name.strip()] = expression.strip()
    chosen = survey.exclude_arcsec if exclude_arcsec is None else exclude_arcsec
    geometry.refuse_wide("exclude_arcsec", chosen)
    return Criteria(survey, {**survey.criteria[preset], **changed}, chosen)


def tests_of(values: sweeps.Values, criteria: Criteria) -> dict[str, NDArray[np.bool_]]:
    """Each criterion by its text, True where a row passes; an unknown value never passes."""
    survey = criteria.survey

    def column(name: str) -> NDArray[Any]:
        for inputs in _inputs_of(name, survey):
            return magnitudes(values, inputs, survey)[name]
        return values(name)

    return {text: survey.expression(text)(column) for text in criteria.expressions.values()}


def _derivable(columns: Collection[str], survey: Survey) -> list[str]:
    """Magnitudes and colours that follow from some columns."""
    names = [f"mag_{band}" for band in survey.bands] + [f"{a}_minus_{b}" for a, b in survey.colours]
    return [name for name in names if all(set(inputs) <= set(columns) for inputs in _inputs_of(name, survey))]


def _inputs_of(name: str, survey: Survey) -> list[tuple[str, ...]]:
    """The fluxes that a magnitude or colour follows from, as the one item of a list; empty for any other column."""
    of: dict[str, tuple[str, ...]] = {f"mag_{band}": (f"flux_{band}",) for band in survey.bands}
    of |= {f"{a}_minus_{b}": (f"flux_{a}", f"flux_{b}") for a, b in survey.colours}
    return [of[name]] if name in of else []
