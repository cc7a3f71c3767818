"""The rows to search: those of a catalogue file that meet the criteria, in an order in which each brick is opened once.

They are sorted by pixel of the sky, brick, and place in it, and kept in chunks beside the growing output, so that other
processes, and later runs, need not read the catalogue again.
"""

from __future__ import annotations

import functools
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lensctl.astro import brick_names
from lensctl.astro.sky_area import FULL_ORDER
from lensctl.io.imaging.bricks import REGIONS, Root, bricks_of, refuse_other_release
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.provenance.steps import Chain, from_json, to_json
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.io.tables import sweeps
from lensctl.io.tables.criteria import Criteria, tests_of
from lensctl.io.tables.files import chain_at, parquet_writer, write_batches
from lensctl.io.tables.paths import readable
from lensctl.io.tables.sql import Database
from lensctl.io.temporary import temporary_folder
from lensctl.io.unpacking import read_parquet_file
from lensctl.rules import schema
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import InputError
from lensctl.rules.split import healpix
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PIXEL = "_healpix_29"
"""Column with the HEALPix pixel of order 29, under the name that HATS gives it."""
PARTITION_ORDER = 3
"""Of the HEALPix pixels that rows are grouped by: 53.7 square degrees."""
CHUNK_ROWS = 500_000
SORT_MB_PER_THREAD = 256


@dataclass(frozen=True)
class Plan:
    """The rows of one catalogue file.

    Attributes
    ----------
    read : int
        Rows of the file; of Tractor files, primary objects only.
    lost : Counter
        Rows removed by each criterion, by its text.
    pixels : list of (pixel, rows)
        How many rows are in each pixel of the partition, in order.
    digest : str
        SHA-256 of the file.
    chain : Chain
        Its provenance.
    """

    file: int
    read: int
    lost: Counter[str]
    pixels: list[tuple[int, int]]
    digest: str
    chain: Chain = ()
    chunks: int = 0

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(count for _, count in self.pixels)


@dataclass(frozen=True)
class Planner:
    """Makes the plan of a catalogue file; can be sent to another process.

    Parameters
    ----------
    place : GrowingFolder
        Where plans are kept.
    criteria : Criteria
    source : CoaddSource
        Of the cutouts.
    releases : tuple of str
        Data releases that the model knows, such as DR10; rows of others are refused. Empty: any.
    """

    place: GrowingFolder
    criteria: Criteria
    source: CoaddSource
    releases: tuple[str, ...] = ()

    def __call__(self, task: tuple[int, str]) -> Plan:
        """Make the plan of a (number, file) pair, and keep it.

        Raises InputError if the file cannot be read, lacks columns, or has a row without a position, a brick or an id
        of its own.
        """
        number, path = task
        scan = sweeps.CatalogScan(path, self.criteria.survey)
        lost: Counter[str] = Counter()
        with temporary_folder("search") as folder, Database(memory_mb_per_thread=SORT_MB_PER_THREAD) as database:
            unsorted = str(folder / "rows.parquet")
            tables = selected(scan, self.criteria, self.source.open(), lost, self.releases)
            batches = (batch for table in tables for batch in table.to_batches())
            write_batches(plan_schema(self.criteria.survey), batches, unsorted)
            database.scan("rows", unsorted, allow_empty=True)
            refuse_repeated(database, path)
            pixel = f"{PIXEL} >> {2 * (FULL_ORDER - PARTITION_ORDER)}"
            counts = database.query(f"SELECT {pixel} AS pixel, count(*) AS n FROM rows GROUP BY 1 ORDER BY 1")
            order = f"{pixel}, region, brickname, {PIXEL}, galaxy_id"
            _, rows = database.stream(f"SELECT * FROM rows ORDER BY {order}", CHUNK_ROWS)
            chunks = self._keep(number, rows)
        pixels = list(zip(counts["pixel"].to_pylist(), counts["n"].to_pylist(), strict=True))
        plan = Plan(number, scan.read, lost, pixels, scan.digest, chain_at(path), chunks)
        note = {**vars(plan), "chain": to_json(plan.chain)}
        self.place.put_part(_note(number), json.dumps(note).encode())
        return plan

    def _keep(self, number: int, rows: Iterator[pa.RecordBatch]) -> int:
        """Keep sorted rows, chunk by chunk; returns the number of chunks."""
        import pyarrow as pa

        chunks, waiting = 0, list[Any]()
        columns = plan_schema(self.criteria.survey)
        for batch in rows:
            waiting.append(batch)
            if sum(map(len, waiting)) >= CHUNK_ROWS:
                self._put(number, chunks, pa.Table.from_batches(waiting).cast(columns))
                chunks, waiting = chunks + 1, []
        if waiting:
            self._put(number, chunks, pa.Table.from_batches(waiting).cast(columns))
            chunks += 1
        return chunks

    def _put(self, number: int, chunk: int, rows: pa.Table) -> None:
        buffer = io.BytesIO()
        with parquet_writer(buffer, rows.schema) as writer:
            writer.write_table(rows)
        self.place.put_part(_chunk(number, chunk), buffer.getvalue())


def selected(
    scan: sweeps.CatalogScan, criteria: Criteria, root: Root, lost: Counter[str], releases: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """The rows of a catalogue file that meet the criteria, batch by batch, with the columns of `plan_schema`.

    Rows removed are counted in `lost`. Raises InputError for a row of another release than these, if any are named.
    """
    survey = criteria.survey
    of_region = region_of(scan.path)
    known = _Known(root)
    identity = ("galaxy_id", "brickname", "objid", "region", "release")
    for rows in scan.rows(
        ("ra", "dec", *criteria.columns),
        (*identity, *carried(survey)),
        functools.partial(_keep, criteria=criteria, lost=lost),
        known=("galaxy_id",),
    ):
        if rows.num_rows:
            refuse_other_release(rows, releases, scan.path)
            yield _planned(rows, scan.path, of_region, known, survey)


def _keep(values: sweeps.Values, *, criteria: Criteria, lost: Counter[str]) -> NDArray[np.bool_]:
    """Which rows of a batch meet all criteria; counts the rows each criterion removes."""
    import numpy as np

    keep = np.ones(len(values("ra")), bool)
    for text, passed in tests_of(values, criteria).items():
        lost[text] += int((keep & ~passed).sum())
        keep &= passed
    return keep


def _planned(rows: pa.Table, path: str, of_region: str, known: _Known, survey: Survey) -> pa.Table:
    """Rows with an id, a region, a brick and a pixel of the sky each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "galaxy_id" not in rows.column_names:
        schema.require(rows, *(["galaxy_id"] if "objid" not in rows.column_names else ["brickname"]), where=path)
        ids = pc.binary_join_element_wise(rows["brickname"], rows["objid"].cast(pa.string()), "_")
        rows = rows.append_column("galaxy_id", ids)
    schema.refuse_nulls(rows, "galaxy_id", where=path)
    _refuse_bad_positions(rows, path)
    brick_names.refuse_far(rows, path, survey)
    regions = [of_region] * rows.num_rows
    if "region" in rows.column_names:
        own = [str(text or "").strip().lower() for text in rows["region"].to_pylist()]
        regions = [text if text in REGIONS else of_region for text in own]
        rows = rows.drop_columns(["region"])
    columns = {
        **{name: rows[name] for name in rows.column_names},
        "region": pa.array(regions, pa.string()),
        "brickname": pa.array(bricks_of(rows, known), pa.string()),
        PIXEL: pa.array(healpix(rows["ra"].to_numpy(), rows["dec"].to_numpy(), 2**FULL_ORDER)),
    }
    wanted = plan_schema(survey)
    filled = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(rows.num_rows, f.type) for f in wanted]
    return pa.table(filled, schema=wanted)


def _refuse_bad_positions(rows: pa.Table, path: str) -> None:
    try:
        schema.refuse_bad_positions(rows, path)
    except InputError:
        numbered = sweeps.read_catalog(path, ("ra", "dec"))  # to name the row by its number in the file
        schema.refuse_bad_positions(numbered, path)
        raise


class _Known:
    """A root whose table of bricks is read once."""

    def __init__(self, root: Root) -> None:
        self.brick_table = functools.cache(root.brick_table)


def carried(survey: Survey) -> tuple[str, ...]:
    """Columns of a catalogue that are kept, where it has them."""
    return ("type", *survey.per_band("flux"), survey.depth("psfsize"), "z_phot")


def plan_schema(survey: Survey) -> pa.Schema:
    """Columns of the rows to search."""
    import pyarrow as pa

    kinds = {"region": pa.string(), PIXEL: pa.int64()}
    names = ("galaxy_id", "region", "brickname", "ra", "dec", PIXEL, *carried(survey))
    return pa.schema([(name, kinds.get(name) or schema.arrow_type(name, survey)) for name in names])


def region_of(path: str) -> str:
    """The region whose catalogue a file is, by the folders it lies in, such as .../north/sweep/...; else empty."""
    return next((part for part in reversed(path.split("/")[:-1]) if part in REGIONS), "")


def refuse_repeated(database: Database, where: str) -> None:
    """Raise InputError if an id stands in two of the `rows` of one region."""
    found = database.query("SELECT galaxy_id FROM rows GROUP BY region, galaxy_id HAVING count(*) > 1 ORDER BY 1")[
        "galaxy_id"
    ].to_pylist()
    if found:
        raise repeated_error(found, where)


def repeated_error(ids: Sequence[str], where: str) -> InputError:
    """The error for ids that stand in two rows of one region."""
    some = ", ".join(ids[:3])
    return InputError(
        f"{where}: {len(ids)} values of 'galaxy_id' occur in more than one row: {some}", "keep one of each"
    )


def read_plan(place: GrowingFolder, number: int) -> Plan | None:
    """The plan of a catalogue file that an earlier run or another process made; None if there is none."""
    where = f"{place.path}: plan {number}"
    try:
        data = place.part(_note(number))
    except FileNotFoundError:
        return None
    with as_written(where, "run with --overwrite"):
        note = json_value(data)
        pixels = [(int(pixel), int(count)) for pixel, count in note["pixels"]]
        chain = from_json(note["chain"], where)
        read, chunks = (int(note[name]) for name in ("read", "chunks"))
        return Plan(number, read, Counter(note["lost"]), pixels, str(note["digest"]), chain, chunks)


def read_chunk(place: GrowingFolder, number: int, chunk: int) -> pa.Table:
    """One chunk of a plan's rows, in order."""
    where = f"{place.path}: rows {number}, {chunk}"
    with readable(where):
        return read_parquet_file(io.BytesIO(place.part(_chunk(number, chunk))))


def _note(number: int) -> str:
    return f"plan-{number:05d}.json"


def _chunk(number: int, chunk: int) -> str:
    return f"rows-{number:05d}-{chunk:05d}.parquet"
