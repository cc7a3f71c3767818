"""Galaxies that may be mistaken for lenses: the confuser class, and from it the pool (N1 or N2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


POOLS = ("N1", "N2")
UNIFORM = "N0"
"""Tier of negatives of a uniform draw, each row of the pool as likely, whatever its pool."""


def applied(survey: Survey, columns: Collection[str]) -> dict[str, str]:
    """The confuser rules, by class, that need no other columns than these."""
    return {
        name: text for name, text in survey.confusers.items() if set(survey.expression(text).columns) <= set(columns)
    }


def confuser_category(columns: Mapping[str, ArrayLike], survey: Survey = LS_DR10) -> NDArray[np.object_]:
    """Hard-confuser class of each row, None if there is none; the first matching rule of the survey applies.

    Parameters
    ----------
    columns : mapping of (N,) arrays
        Numbers in the declared units, NaN where unknown, and text. Rules that need others are not applied.
    survey : Survey
    """
    import numpy as np

    arrays = {name: np.asarray(values) for name, values in columns.items()}
    category = np.full(len(next(iter(arrays.values()))), None, dtype=object)
    for name, text in reversed(list(applied(survey, arrays).items())):
        category[survey.expression(text)(arrays.__getitem__)] = name
    return category


def pool_of(category: NDArray[np.object_]) -> NDArray[np.object_]:
    """N2 for rows with a confuser class, otherwise N1."""
    import numpy as np

    return np.where([name is None for name in category], *POOLS).astype(object)
