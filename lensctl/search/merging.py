"""All blocks of a search, put together: partition by partition of the sky, every row once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.sky_area import FULL_ORDER, CellCounts
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.rules import schema
from lensctl.rules.quality import OK
from lensctl.search.blocks import Block, read_block
from lensctl.search.known import Sightings
from lensctl.search.null import Searched
from lensctl.search.rows import PIXEL, repeated_error
from lensctl.search.top import Top
from lensctl.search.training import Training
from lensctl.stats.calibration import logistic

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

FRONT = (
    "galaxy_id", "region", "brickname", "ra", "dec", PIXEL, "healpix_128", "split", "seen_in_training", "status",
    "error", "logit", "p",
)  # fmt: skip
"""First columns of scores."""


@dataclass
class Totals:
    """What all rows of a search say together.

    Attributes
    ----------
    statuses, seen : Counter
        Rows by status, and those that the model may know by why.
    above : Counter
        Scored rows at or above each threshold, by its name.
    bricks : dict
        Whether a row in a brick was scored, by region and name.
    ids : list of (N,) int64
        Hashes of region and galaxy_id, partition by partition, to see an id that stands twice.
    """

    cells: CellCounts
    top: Top
    sightings: Sightings
    thresholds: dict[str, float]
    searched: Searched | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    above: Counter[str] = field(default_factory=Counter)
    bricks: dict[tuple[str, str], bool] = field(default_factory=dict)
    ids: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """All rows."""
        return self.statuses.total()

    def add(self, rows: pa.Table) -> None:
        """Add the rows of one partition."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self.statuses.update(rows["status"].to_pylist())
        self.seen.update(filter(None, rows["seen_in_training"].to_pylist()))
        logits = rows["logit"].drop_null().to_numpy()
        self.above.update({name: int((logits >= limit).sum()) for name, limit in self.thresholds.items()})
        scored = np.array([status == OK for status in rows["status"].to_pylist()], bool)
        self.cells.add(rows[PIXEL].to_numpy(), scored)
        of_brick = rows.select(["region", "brickname"]).append_column("n", pa.array(scored.astype(np.int64)))
        found = of_brick.group_by(["region", "brickname"]).aggregate([("n", "sum")])
        named = found.filter(pc.is_valid(found["brickname"]))
        for region, brick, count in zip(*(named[name].to_pylist() for name in named.column_names), strict=True):
            self.bricks[region, brick] = self.bricks.get((region, brick), False) or count > 0
        self.ids.append(_hashes(rows))
        self.sightings.add(rows)
        with_score = rows.filter(pc.is_valid(rows["logit"]))
        self.top.add(with_score)
        if self.searched is not None:
            self.searched.add(with_score)

    def twice(self) -> NDArray[np.int64]:
        """Hashes that occur more than once."""
        every = np.sort(np.concatenate(self.ids)) if self.ids else np.zeros(0, np.int64)
        return np.unique(every[1:][every[1:] == every[:-1]])


def partitions(
    place: GrowingFolder,
    blocks: Sequence[Block],
    there: Collection[str],
    columns: pa.Schema,
    training: Training,
    name: str,
) -> Iterator[tuple[int, pa.Table]]:
    """Each pixel of the partition with all its rows, in order of place, region and id.

    Parameters
    ----------
    there : collection of str
        Names of the parts that are there.
    columns : pa.Schema
        Of a block: `blocks.results_schema`.
    name : str
        Of the output, for messages.

    Raises
    ------
    InputError
        An id that stands in two rows of one region and partition; see `refuse_repeated` for those of several.
    """
    import pyarrow as pa

    ordered = sorted(blocks, key=lambda block: (block.pixel, block.file, block.number))
    for pixel, of_pixel in itertools.groupby(ordered, key=lambda block: block.pixel):
        rows = pa.concat_tables([read_block(place, block, there, columns) for block in of_pixel])
        rows = rows.sort_by([(PIXEL, "ascending"), ("region", "ascending"), ("galaxy_id", "ascending")])
        _refuse_repeated(rows, name)
        yield pixel, with_flags(rows.combine_chunks(), training)


def with_flags(rows: pa.Table, training: Training) -> pa.Table:
    """Scored rows with their HEALPix pixel of nside 128, split, p, and why the model may know them."""
    import pyarrow as pa

    pixels = rows[PIXEL].to_numpy() >> 2 * (FULL_ORDER - 7)
    ids = np.array(rows["galaxy_id"].to_pylist(), object)
    seen = training.seen(ids, rows["ra"].to_numpy(), rows["dec"].to_numpy(), pixels)
    logit = np.asarray(rows["logit"].to_numpy(zero_copy_only=False), np.float64)
    added = {
        "healpix_128": pa.array(pixels, pa.int64()),
        "split": pa.array(training.splits(pixels).tolist(), pa.string()),
        "seen_in_training": pa.array(seen.tolist(), pa.string()),
        "p": pa.array(np.asarray(logistic(logit)), pa.float64(), mask=np.isnan(logit)),
    }
    columns = {**{name: rows[name] for name in rows.column_names}, **added}
    members = [name for name in columns if name.startswith("logit_")]
    rest = [name for name in columns if name not in FRONT and name not in members]
    return pa.table({name: columns[name] for name in (*FRONT, *members, *rest)})


def refuse_repeated(made: Iterable[pa.Table], hashes: NDArray[np.int64], name: str) -> None:
    """Raise InputError if an id of these hashes stands in two rows of one region, wherever these are on the sky."""
    found: Counter[tuple[str, str]] = Counter()
    for rows in made:
        again = rows.select(["region", "galaxy_id"]).filter(np.isin(_hashes(rows), hashes))
        found.update(zip(*(again[column].to_pylist() for column in again.column_names), strict=True))
    twice = sorted(id for (_, id), count in found.items() if count > 1)
    if twice:
        raise repeated_error(twice, name)


def _hashes(rows: pa.Table) -> NDArray[np.int64]:
    """Of region and galaxy_id: (N,); the same in this process only."""
    named = zip(rows["region"].to_pylist(), rows["galaxy_id"].to_pylist(), strict=True)
    return np.fromiter(map(hash, named), np.int64, rows.num_rows)


def _refuse_repeated(rows: pa.Table, name: str) -> None:
    import pyarrow.compute as pc

    counts = rows.group_by(["region", "galaxy_id"]).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        raise repeated_error(sorted(twice["galaxy_id"].to_pylist()), name)


def scores_columns() -> tuple[str, ...]:
    """Columns of scores that lensctl declares."""
    return tuple(name for name in FRONT if name in schema.columns())
