"""The negatives of many catalogue files, each in its own part, so that an interrupted run can resume."""

from __future__ import annotations

import functools
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.astro.lens_units import Lenses
from lensctl.io import workers
from lensctl.io.storage.atomic import replace_file
from lensctl.io.tables import sweeps
from lensctl.io.tables.criteria import Criteria
from lensctl.io.tables.paths import base_name
from lensctl.pool.funnel import Funnel, funnel_from
from lensctl.pool.select import negatives
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import InputError, LensctlError, ServiceError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Part:
    """Result for one catalogue file: its negatives as an Arrow file, or (in the funnel) why the file is bad.

    Attributes
    ----------
    digest : str
        SHA-256 of the catalogue file; empty for a bad file.
    bricks : list of str
        Bricks of the negatives.
    """

    file: str
    path: Path
    funnel: Funnel
    digest: str = ""
    bricks: list[str] = field(default_factory=list)


def select_all(
    files: Sequence[str],
    folder: Path,
    criteria: Criteria,
    lenses: Lenses,
    *,
    count: int | None = None,
) -> Iterator[Part]:
    """The negatives of many files, each in its own part in `folder`, in order of completion.

    Existing parts are kept, so an interrupted run resumes. An unreadable file is skipped, and named in the funnel of
    its part.

    Parameters
    ----------
    count : int, optional
        Processes; default one per core.

    Raises
    ------
    sweeps.MissingColumns
        For the first file that lacks columns.
    """
    job = functools.partial(_part, folder=folder, criteria=criteria, lenses=lenses)
    yield from workers.each(job, files, count)


def in_order(parts: Iterable[Part], files: Sequence[str]) -> Iterator[Part]:
    """The parts in the order of the files, each as soon as it is ready."""
    ready: dict[str, Part] = {}
    wanted = iter(files)
    next_file = next(wanted, None)
    for part in parts:
        ready[part.file] = part
        while next_file in ready:
            yield ready.pop(str(next_file))
            next_file = next(wanted, None)


def batches(part: Part) -> Iterator[pa.RecordBatch]:
    """The record batches of a part."""
    import pyarrow as pa

    if part.digest:
        with pa.OSFile(str(part.path)) as file, pa.ipc.open_file(file) as rows:
            for i in range(rows.num_record_batches):
                yield rows.get_batch(i)


def repeated_between(parts: Sequence[Part]) -> int:
    """Number of rows whose id occurs in an earlier part; only bricks in several parts need checking."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seen = Counter(brick for part in parts for brick in part.bricks)
    shared = pa.array([brick for brick, count in seen.items() if count > 1], pa.string())
    if not len(shared):
        return 0
    ids = []
    for part in parts:
        of_part = [batch["galaxy_id"].filter(pc.is_in(_bricks(batch), value_set=shared)) for batch in batches(part)]
        ids.append(pa.chunked_array(of_part, pa.string()).unique())
    return sum(map(len, ids)) - int(pc.count_distinct(pa.chunked_array(ids, pa.string())).as_py())


def _bricks(rows: pa.Table | pa.RecordBatch) -> Any:
    """The brick of each row; one name for all rows of a catalogue without bricks."""
    import pyarrow as pa

    return rows["brickname"] if "brickname" in rows.schema.names else pa.repeat("", rows.num_rows)


def _part(file: str, folder: Path, criteria: Criteria, lenses: Lenses) -> Part:
    """Write the rows of one file and then a note that marks it finished; or reuse a finished part."""
    path = folder / f"{base_name(file)}.arrow"
    found = _noted(file, path)
    if found:
        return found
    funnel = Funnel()
    try:
        scan = sweeps.CatalogScan(file, criteria.survey)
        checksum, bricks = _write_part(path, negatives(scan, criteria, lenses, funnel), funnel)
    except LensctlError as error:
        path.unlink(missing_ok=True)
        if isinstance(error, sweeps.MissingColumns | ServiceError):
            raise  # every file of the release lacks the columns; S3 may work next time
        return Part(file, path, Funnel(bad={file: str(error)}))
    part = Part(file, path, funnel, scan.digest, bricks)
    note = {"funnel": vars(funnel), "digest": part.digest, "bricks": part.bricks, "crc32": checksum}
    replace_file(path.with_suffix(".json"), [json.dumps(note).encode()], flush=False)  # the rows are not either
    return part


class _Checked:
    """A file object for Arrow that computes the CRC-32 of what is written."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self.crc32 = 0

    def write(self, data: Any) -> int:
        self.crc32 = zlib.crc32(data, self.crc32)
        return int(self._file.write(data))

    def flush(self) -> None:
        """Does nothing: writes are unbuffered."""

    def close(self) -> None:
        """Does nothing: the caller closes the file."""


def _write_part(path: Path, rows: Iterator[pa.Table], funnel: Funnel) -> tuple[int, list[str]]:
    """Write a part as its rows arrive; returns its checksum and bricks, and counts repeated ids in the funnel."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids, bricks = [], set[str]()
    with path.open("wb", buffering=0) as file:
        checked = _Checked(file)
        stream = None
        for table in rows:
            stream = stream or pa.ipc.new_file(checked, table.schema)
            stream.write_table(table.combine_chunks())
            ids.append(table["galaxy_id"])
            bricks.update(_bricks(table).unique().to_pylist())
        if stream is not None:
            stream.close()
    distinct = pc.count_distinct(pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string()))
    funnel.repeated = funnel.kept - int(distinct.as_py())
    return checked.crc32, sorted(bricks)


def _noted(file: str, path: Path) -> Part | None:
    """A part finished by an earlier run and still intact, else None."""
    try:
        with as_written(str(path), "make it again"):
            note = json_value(path.with_suffix(".json").read_bytes())
            part = Part(file, path, funnel_from(note["funnel"]), str(note["digest"]), list(map(str, note["bricks"])))
            wanted = note["crc32"]
        with path.open("rb") as rows:
            checksum = 0
            while chunk := rows.read(1 << 22):
                checksum = zlib.crc32(chunk, checksum)
    except (FileNotFoundError, InputError):
        return None
    return part if checksum == wanted else None
