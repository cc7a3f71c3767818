"""Which galaxies of a pool are hosts: those that meet every criterion, in the order of the sampling rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro import geometry
from lensctl.astro.lens_units import DEGREES, SAME_ARCSEC, Lenses
from lensctl.rules import sampling_rule, schema, split
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

KEY = "key"
"""Column of the sampling rule's order; a pool's own is not read."""
SPARE_ROWS = 65_536
"""Rows that may wait before the last in order are dropped."""
NEAR = "near a lens"
BORDER = "the cutout reaches another split"


def criteria_of(survey: Survey, split: str, category: str | None = None) -> dict[str, str]:
    """The criteria of hosts by name, as expressions, the split first.

    Parameters
    ----------
    split : str
        train, val or test.
    category : str, optional
        Confuser classes, joined by commas: they take the place of the criteria of type and colour, which are all those
        that read type, sersic or a colour.

    Raises
    ------
    InputError
        A survey without criteria of hosts, an unknown split or class.
    """
    if not survey.hosts:
        raise InputError(
            f"survey {survey.name} has no criteria of hosts", "add `hosts:` to its file (docs/surveys.md says how)"
        )
    if split not in survey.split_fractions:
        known = survey.split_fractions
        raise InputError(f"there is no split '{split}'{nearest(split, known)}", f"use {', '.join(known)}")
    chosen = {"split": f"split == '{split}'", **survey.hosts}
    if category is None:
        return chosen
    wanted = list(dict.fromkeys(name.strip() for name in category.split(",")))
    for name in wanted:
        if name not in survey.confusers:
            classes = ", ".join(survey.confusers) or "none"
            raise InputError(
                f"no confuser class '{name}'{nearest(name, survey.confusers)}", f"those of {survey.name}: {classes}"
            )
    of_kind = {"type", "sersic", *survey.colour_columns}
    kept = {name: text for name, text in chosen.items() if not of_kind & set(survey.expression(text).columns)}
    return {**kept, "category": f"confuser_category in {wanted!r}"}


@dataclass
class Draw:
    """The hosts among the rows that were added: those first in order, and how many rows each criterion removed.

    Parameters
    ----------
    survey : Survey
    criteria : mapping
        Result of `criteria_of`.
    lenses : Lenses
        To stay away from.
    exclude_arcsec : float
        Least distance from every lens.
    count : int
        Maximum number of hosts.
    seed : int
    split : str
        In which the whole cutout of a host lies.
    """

    survey: Survey
    criteria: Mapping[str, str]
    lenses: Lenses
    exclude_arcsec: float
    count: int
    seed: int
    split: str = "test"
    read: int = 0
    eligible: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    in_units: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lost = Counter(dict.fromkeys((*self.criteria.values(), NEAR, BORDER), 0))
        self.in_units = {DEGREES: Counter()}
        self._near = {
            str(number): geometry.Neighbourhood(*place, self.exclude_arcsec)
            for number, place in enumerate(self.lenses.places)
            if len(place[0])
        }
        self._elsewhere = {of: geometry.Neighbourhood(*at, SAME_ARCSEC) for of, at in self.lenses.readings().items()}
        self._waiting: list[pa.Table] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the pool that it needs."""
        named = (name for text in self.criteria.values() for name in self.survey.expression(text).columns)
        return tuple(dict.fromkeys(("galaxy_id", "ra", "dec", *named)))

    def add(self, rows: pa.Table) -> None:
        """Judge some rows of the pool, and keep those that may be among the first.

        Raises InputError for an id that is null, or a position that is null, NaN or out of range.
        """
        import pyarrow as pa

        ra, dec = (values_of(rows, axis) for axis in ("ra", "dec"))
        lost = ~((ra >= 0) & (ra <= 360) & (dec >= -90) & (dec <= 90))
        if lost.any():
            raise InputError(
                f"pool: {int(lost.sum())} rows or more have a position that is null, NaN or out of range",
                "remake the pool",
            )
        if rows["galaxy_id"].null_count:
            raise InputError("pool: column 'galaxy_id' is null in some rows", "remake the pool")
        self.read += rows.num_rows
        keep = np.ones(rows.num_rows, bool)
        for text in self.criteria.values():
            passed = self.survey.expression(text)(lambda name: values_of(rows, name))
            self.lost[text] += int((keep & ~passed).sum())
            keep &= passed
        near = np.zeros(rows.num_rows, bool)
        for catalogue, places in self._near.items():
            held = places.holds(ra, dec)
            self.in_units[DEGREES][catalogue] += int(held.sum())
            near |= held
        for (unit, catalogue), places in self._elsewhere.items():
            self.in_units.setdefault(unit, Counter())[catalogue] += int(places.holds(ra, dec).sum())
        self.lost[NEAR] += int((keep & near).sum())
        keep &= ~near
        inside = self._lies_within(ra[keep], dec[keep])
        self.lost[BORDER] += int((~inside).sum())
        keep[keep] = inside
        self.eligible += int(keep.sum())
        kept = rows.filter(pa.array(keep))
        keys = [sampling_rule.order_key(str(id), self.seed) for id in kept["galaxy_id"].to_pylist()]
        self._waiting.append(kept.append_column(KEY, pa.array(keys, pa.string())))
        if sum(map(len, self._waiting)) > 2 * self.count + SPARE_ROWS:
            self._waiting = [self._first()]

    def _lies_within(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the whole cutout of each place lies in the split."""
        pixels = split.box_pixels(ra, dec, self.survey.cutout_arcsec)
        found = split.splits_of(pixels.reshape(-1), self.survey.split_seed, self.survey.split_edges)
        return np.asarray((found.reshape(pixels.shape) == self.split).all(axis=1))

    def hosts(self) -> pa.Table:
        """The hosts in order; InputError for an id that occurs twice among them."""
        first = self._first()
        schema.refuse_duplicates(first, where="pool")
        return first.slice(0, self.count).drop_columns([KEY])

    def _first(self) -> pa.Table:
        """The rows first in order, and one more, so that the last has no double that is not seen."""
        import pyarrow as pa

        rows = pa.concat_tables(self._waiting)
        return rows.sort_by([(KEY, "ascending"), ("galaxy_id", "ascending")]).slice(0, self.count + 1)

    def funnel(self) -> list[tuple[str, int, int]]:
        """Criterion, rows removed, rows remaining."""
        remaining = self.read
        rows = [("read", 0, remaining)]
        for text, removed in self.lost.items():
            remaining -= removed
            rows.append((text, removed, remaining))
        drawn = min(self.count, remaining)
        return [*rows, ("beyond the count", remaining - drawn, drawn)]


def values_of(rows: pa.Table, name: str) -> NDArray[Any]:
    """A column as numbers, NaN where null, or as text, empty where null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = rows[name]
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = pc.fill_null(column.cast(pa.string()), "").combine_chunks().dictionary_encode()
        return np.asarray(np.array([*coded.dictionary.to_pylist(), ""])[coded.indices.to_numpy()])
    return np.asarray(column.to_numpy() if not column.null_count else column.cast(pa.float64()).to_numpy())


def measured(rows: pa.Table, names: Sequence[str]) -> NDArray[np.float64]:
    """Some columns as numbers: (N, F) float64, NaN where unknown."""
    return np.stack([np.asarray(values_of(rows, name), np.float64) for name in names], axis=1)
