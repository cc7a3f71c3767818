"""Blocks of rows: cut by processes of their own while the previous ones are scored, each kept once it is done.

A block is a fixed number of rows of one catalogue file and one pixel of the sky, in the plan's order, whatever process
makes it: scores do not depend on how the work was divided, nor on what was interrupted.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lensctl.io.imaging.bricks import of_region
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.imaging.source import TRANSIENT
from lensctl.io.imaging.streaming import CutBlock, CutTask, Window, cut_blocks, scored_blocks
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.io.tables.paths import readable
from lensctl.io.unpacking import sound
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.quality import OK
from lensctl.rules.survey import Survey
from lensctl.search.rows import Plan, plan_schema, read_chunk

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

AGAIN = "again"
"""In the name of a block with rows that failed for a passing reason: another run takes it up."""


class NothingScored(InputError):
    """No row of a search has a score: there is nothing to keep."""


class Scores(Protocol):
    """A model of `members` networks at work; `lensctl.learning.networks.scorer.Scorer` is one."""

    @property
    def members(self) -> int:
        """Number of networks."""

    def member_logits(self, cutouts: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, S, S, B) nanomaggies to (N, K) logits."""


@dataclass(frozen=True)
class Block:
    """Where the rows of a block are: of a catalogue file those from `start` to `stop` in its plan's order."""

    file: int
    pixel: int
    number: int
    start: int
    stop: int

    def name(self, again: bool = False) -> str:
        """Name of the part that holds its scores."""
        place = f"scored-{self.pixel:04d}-{self.file:05d}-{self.number:06d}"
        return f"{place}-{AGAIN}.arrow" if again else f"{place}.arrow"


def blocks_of(plan: Plan, rows_at_once: int) -> list[Block]:
    """The blocks of a catalogue file, in order."""
    blocks, first = [], 0
    for pixel, count in plan.pixels:
        starts = range(0, count, rows_at_once)
        ends = (min(start + rows_at_once, count) for start in starts)
        blocks += [
            Block(plan.file, pixel, number, first + start, first + end)
            for number, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]
        first += count
    return blocks


def undone(blocks: Sequence[Block], done: Collection[str]) -> list[Block]:
    """Those blocks that are not done, or have rows that failed for a passing reason."""
    return [block for block in blocks if block.name() not in done]


def stream(
    place: GrowingFolder,
    plans: Sequence[Plan],
    blocks: Sequence[Block],
    source: CoaddSource,
    scorer: Scores,
    window: Window,
    *,
    check: Callable[[CutBlock], None],
    advance: Callable[[Counter[str]], None],
    processes: int | None = None,
) -> None:
    """Cut, score and keep some blocks.

    Parameters
    ----------
    check : callable
        Raises InputError if a block's coadds are not of the kind that the model was trained on.
    advance : callable
        Called with the statuses of the rows just done.
    """
    being: dict[int, tuple[Block, pa.Table]] = {}

    def tasks() -> Iterator[CutTask]:
        for number, (block, rows) in enumerate(with_rows(place, plans, blocks)):
            being[number] = block, rows
            yield task_of(number, rows)

    def checked(cuts: Iterable[CutBlock]) -> Iterator[CutBlock]:
        for cut in cuts:
            check(cut)
            yield cut

    cuts = checked(cut_blocks(source, window.crop, tasks(), processes))
    for cut, logits in scored_blocks(cuts, scorer.member_logits, scorer.members):
        block, rows = being.pop(cut.number)
        passing = bool(np.isin(cut.status.astype(str), TRANSIENT).any())
        place.put_part(block.name(passing), as_bytes(scored_rows(rows, cut, logits)))
        advance(Counter(cut.status.tolist()))


def task_of(number: int, rows: pa.Table) -> CutTask:
    """What is to be cut for some rows of a plan."""
    names = zip(rows["brickname"].to_pylist(), rows["region"].to_pylist(), strict=True)
    bricks = tuple(of_region(brick or None, region) for brick, region in names)
    return CutTask(number, bricks, rows["ra"].to_numpy(), rows["dec"].to_numpy())


def with_rows(place: GrowingFolder, plans: Sequence[Plan], blocks: Sequence[Block]) -> Iterator[tuple[Block, pa.Table]]:
    """Blocks with their rows, in order; of a plan only the chunks that are needed are read."""
    import pyarrow as pa

    for plan in plans:
        wanted = [block for block in blocks if block.file == plan.file]
        table, first, chunk = pa.table({}), 0, 0
        for block in wanted:
            while first + table.num_rows < block.stop:
                rest = table.slice(max(0, block.start - first))
                first += table.num_rows - rest.num_rows
                more = read_chunk(place, plan.file, chunk)
                table, chunk = pa.concat_tables([rest, more]) if rest.num_rows else more, chunk + 1
            yield block, table.slice(block.start - first, block.stop - block.start)


def results_schema(survey: Survey, members: int) -> pa.Schema:
    """Columns of scored rows: those of the plan, `status`, `error`, `logit`, and of an ensemble its members' logits."""
    import pyarrow as pa

    logits = ["logit", *(f"logit_{k}" for k in range(members) if members > 1)]
    texts = [(name, schema.arrow_type(name)) for name in ("status", "error")]
    return pa.schema([*plan_schema(survey), *texts, *((name, pa.float64()) for name in logits)])


def scored_rows(rows: pa.Table, cut: CutBlock, logits: NDArray[np.float64]) -> pa.Table:
    """Rows of a plan with what became of them; `logit` is the mean of the members' (N, K), null without a score."""
    import pyarrow as pa

    mean = logits.mean(axis=1)
    added = {"logit": mean, **({f"logit_{k}": of for k, of in enumerate(logits.T)} if logits.shape[1] > 1 else {})}
    rows = rows.append_column("status", pa.array(cut.status.tolist(), pa.string()))
    rows = rows.append_column("error", pa.array(list(cut.error), pa.string()))
    for name, values in added.items():
        rows = rows.append_column(name, pa.array(values, pa.float64(), mask=~cut.ok))
    return rows


def read_block(place: GrowingFolder, block: Block, there: Collection[str], columns: pa.Schema) -> pa.Table:
    """The scored rows of a block, with these columns; FileNotFoundError if it is not done."""
    import pyarrow as pa

    name = block.name() if block.name() in there else block.name(again=True)
    where, data = f"{place.path}: {name}", place.part(name)
    with readable(where):
        rows = sound(pa.ipc.open_file(pa.BufferReader(data)).read_all())
    if rows.num_rows != block.stop - block.start or rows.column_names != columns.names:
        raise InputError(f"{where}: not the rows that were scored", "run with --overwrite")
    return rows.cast(columns)


def lost_rows(statuses: Counter[str]) -> int:
    """Rows without a score."""
    return sum(count for status, count in statuses.items() if status != OK)


def as_bytes(rows: pa.Table) -> bytes:
    """Scored rows as they are kept."""
    import pyarrow as pa

    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
        file.write_table(rows.combine_chunks())
    return buffer.getvalue()
