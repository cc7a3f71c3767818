"""The negative pool: which catalogue rows may serve as negatives, and of what kind each is."""

from __future__ import annotations

import functools
import json
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.astro import geometry
from lensctl.io import workers
from lensctl.io.provenance.steps import Chain
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.io.tables import partitioned, sweeps
from lensctl.rules import derived
from lensctl.rules.bins import TYPES
from lensctl.rules.derived import magnitude
from lensctl.rules.errors import LensctlError, ServiceError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


CLASSES = ("pool", "confuser_category", "split", "nobs_z_bin", "type")
"""Columns whose values are counted."""
CRITICAL = ("galaxy_id", "ra", "dec", "type", "nobs_z", "nobs_z_bin", "healpix_128", "split", "pool")
"""Columns in which nulls are counted."""
PARTITIONS = ("split", "pool", "type", "nobs_z_bin")
"""Columns that a pool can be divided by: of few values, so that there are few files."""

PIECE_ROWS = 32_768


@dataclass(frozen=True)
class Criteria:
    """What a row must be to serve as a negative; magnitudes are observed AB, angles degrees or arcsec.

    `masked_bits` are the bits of maskbits that reject a row; None rejects any bit.
    """

    types: tuple[str, ...] = TYPES
    min_nobs_g: int = 1
    min_nobs_r: int = 1
    min_nobs_z: int = 3
    masked_bits: tuple[int, ...] | None = None
    max_mag_z: float | None = None
    min_dec: float | None = None
    max_dec: float | None = None
    exclude_arcsec: float = 11.0


PRESETS = {
    "plan": Criteria(),
    "paper4": Criteria(
        min_nobs_g=3,
        min_nobs_r=3,
        masked_bits=(1, 5, 6, 7, 11, 12, 13),
        max_mag_z=20.0,
        min_dec=-18.0,
        max_dec=32.0,
    ),
}


@dataclass
class Funnel:
    """How many rows were read, lost to each criterion (in the order they are tried) and kept; and the bad files.

    Of the kept rows also how many there are of each class, how many nulls in critical columns, and how many ids that
    another row has.
    """

    read: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in CLASSES})
    nulls: int = 0
    repeated: int = 0
    bad: dict[str, str] = field(default_factory=dict)

    def add(self, other: Funnel) -> None:
        """Count another file's rows in."""
        self.read += other.read
        self.lost.update(other.lost)
        self.kept += other.kept
        for name, counts in other.counts.items():
            self.counts[name].update(counts)
        self.nulls += other.nulls
        self.repeated += other.repeated
        self.bad.update(other.bad)


@dataclass(frozen=True)
class Part:
    """What became of one catalogue file: its negatives as an Arrow file, or (in the funnel) what is wrong with it.

    Attributes
    ----------
    digest : str
        SHA-256 of the catalogue file; empty for a bad one.
    bricks : list of str
        Of the negatives.
    """

    file: str
    path: Path
    funnel: Funnel
    digest: str = ""
    bricks: list[str] = field(default_factory=list)


def select(
    path: str, criteria: Criteria, lens_ra: NDArray[np.float64], lens_dec: NDArray[np.float64]
) -> tuple[pa.Table, Funnel]:
    """The negatives of one catalogue file, in the order of its rows.

    Parameters
    ----------
    path : str
        Sweep or Tractor file.
    lens_ra, lens_dec : (L,) float64
        Positions to keep away from, degrees.

    Raises
    ------
    InputError
        Missing columns, an unreadable file, or a position that is NaN or impossible.
    """
    import pyarrow as pa

    funnel = Funnel()
    found = list(negatives(sweeps.Scan(path), criteria, lens_ra, lens_dec, funnel))
    return pa.concat_tables(found), funnel


def negatives(
    scan: sweeps.Scan,
    criteria: Criteria,
    lens_ra: NDArray[np.float64],
    lens_dec: NDArray[np.float64],
    funnel: Funnel,
) -> Iterator[pa.Table]:
    """The same, batch by batch (at least one), counting in the funnel; only kept rows are looked at as a whole."""
    import pyarrow.compute as pc

    near = geometry.Neighbourhood(lens_ra, lens_dec, criteria.exclude_arcsec) if len(lens_ra) else None
    keep = functools.partial(_keep, scan=scan, criteria=criteria, near=near, lost=funnel.lost)
    for rows in _joined(scan.rows(derived.REQUIRED, derived.OPTIONAL, keep)):
        made = derived.with_derived(rows)
        funnel.read = scan.read
        funnel.kept += made.num_rows
        funnel.nulls += sum(made[name].null_count for name in CRITICAL)
        for name in CLASSES:
            for count in pc.value_counts(made[name].drop_null()).to_pylist():
                funnel.counts[name][count["values"]] += count["counts"]
        yield made


def _joined(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer pieces, at least one."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= PIECE_ROWS:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _keep(
    values: sweeps.Values,
    *,
    scan: sweeps.Scan,
    criteria: Criteria,
    near: geometry.Neighbourhood | None,
    lost: Counter[str],
) -> NDArray[np.bool_]:
    """Which rows of a batch meet all criteria, counting those lost to each."""
    import numpy as np

    sweeps.refuse_bad_positions(scan, values)
    ra, dec = values("ra"), values("dec")
    keep = np.ones(len(ra), bool)
    for name, passed in _tests(values, criteria).items():
        lost[name] += int((keep & ~passed).sum())
        keep &= passed
    if near is not None:
        left = np.flatnonzero(keep)
        keep[left[near.holds(ra[left], dec[left])]] = False
        lost["near a lens"] += len(left) - int(keep.sum())
    return keep


def select_all(
    files: Sequence[str],
    folder: Path,
    criteria: Criteria,
    lens_ra: NDArray[np.float64],
    lens_dec: NDArray[np.float64],
    *,
    count: int | None = None,
) -> Iterator[Part]:
    """The negatives of many files, each file's in a part of its own in `folder`, as they get ready.

    Parts that are there already are not made again, so an interrupted run goes on where it was. A file that
    cannot be read is passed over, and named in its part's funnel.

    Parameters
    ----------
    count : int, optional
        Processes; one per core if not given.

    Raises
    ------
    sweeps.MissingColumns
        Of the first file that lacks some.
    """
    job = functools.partial(_part, folder=folder, criteria=criteria, lens_ra=lens_ra, lens_dec=lens_dec)
    yield from workers.each(job, files, count)


@dataclass(frozen=True)
class Elsewhere:
    """One catalogue file's negatives, made by any process that is asked to, as files of a growing pool.

    Parameters
    ----------
    place : Place
        Where the pool grows.
    criteria, lens_ra, lens_dec
        As of `select`.
    partition_by : tuple of str
        Columns to partition the pool by.
    chain : Chain
        The pool's provenance.
    """

    place: GrowingFolder
    criteria: Criteria
    lens_ra: NDArray[np.float64]
    lens_dec: NDArray[np.float64]
    partition_by: tuple[str, ...]
    chain: Chain

    def __call__(self, task: tuple[int, str]) -> Funnel:
        """Make the part of a file, which is given with its number, unless that was done; gives its funnel."""
        number, file = task
        note = f"part-{number:05d}.json"
        try:
            return _funnel(json.loads(self.place.part(note)))
        except FileNotFoundError:
            pass
        funnel = Funnel()
        try:
            with tempfile.TemporaryDirectory(prefix="lensctl-pool-") as folder:
                made = Path(folder) / (Path(note).stem + ".parquet" if not self.partition_by else "made")
                rows = negatives(sweeps.Scan(file), self.criteria, self.lens_ra, self.lens_dec, funnel)
                for path in sorted(self._write(made, rows)):
                    name = path.relative_to(made if made.is_dir() else folder).as_posix()
                    self.place.take(path, name.replace("part-", f"part-{number:05d}-") if self.partition_by else name)
        except LensctlError as error:
            if isinstance(error, sweeps.MissingColumns | ServiceError):
                raise
            return Funnel(bad={file: str(error)})
        self.place.put_part(note, json.dumps(vars(funnel)).encode())
        return funnel

    def _write(self, path: Path, tables: Iterator[pa.Table]) -> list[Path]:
        """Write the rows to a file or hive folder; gives the files. No rows: no file."""
        writer = None
        for table in tables:
            for batch in table.to_batches():
                if batch.num_rows:
                    writer = writer or partitioned.Writer(path, batch.schema, self.partition_by)
                    writer.write(batch)
        if writer is None:
            return []
        writer.close(self.chain)
        return [path] if path.is_file() else list(path.rglob("*.parquet"))


def in_order(parts: Iterable[Part], files: Sequence[str]) -> Iterator[Part]:
    """The parts of some files, as they get ready, in the order of the files."""
    ready: dict[str, Part] = {}
    wanted = iter(files)
    next_file = next(wanted, None)
    for part in parts:
        ready[part.file] = part
        while next_file in ready:
            yield ready.pop(str(next_file))
            next_file = next(wanted, None)


def batches(part: Part) -> Iterator[pa.RecordBatch]:
    """The rows of a part, as they lie in its file."""
    import pyarrow as pa

    if part.digest:
        with pa.OSFile(str(part.path)) as file, pa.ipc.open_file(file) as rows:
            for i in range(rows.num_record_batches):
                yield rows.get_batch(i)


def repeated_between(parts: Sequence[Part]) -> int:
    """Rows whose id stands in an earlier part: only a brick that lies in several parts can have any."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seen = Counter(brick for part in parts for brick in part.bricks)
    shared = pa.array([brick for brick, count in seen.items() if count > 1], pa.string())
    if not len(shared):
        return 0
    ids = []
    for part in parts:
        of_part = [batch["galaxy_id"].filter(pc.is_in(batch["brickname"], value_set=shared)) for batch in batches(part)]
        ids.append(pa.chunked_array(of_part, pa.string()).unique())
    return sum(map(len, ids)) - int(pc.count_distinct(pa.chunked_array(ids, pa.string())).as_py())


def _part(
    file: str, folder: Path, criteria: Criteria, lens_ra: NDArray[np.float64], lens_dec: NDArray[np.float64]
) -> Part:
    """Write one file's rows beside the other parts, and then a note that says so; or take what is there."""
    path = folder / f"{sweeps.base_name(file)}.arrow"
    found = _noted(file, path)
    if found:
        return found
    funnel = Funnel()
    try:
        scan = sweeps.Scan(file)
        checksum, bricks = _write_part(path, negatives(scan, criteria, lens_ra, lens_dec, funnel), funnel)
    except LensctlError as error:
        path.unlink(missing_ok=True)
        if isinstance(error, sweeps.MissingColumns | ServiceError):
            raise  # every file of the release lacks them; S3 may answer the next time
        return Part(file, path, Funnel(bad={file: str(error)}))
    part = Part(file, path, funnel, scan.digest, bricks)
    note = {"funnel": vars(funnel), "digest": part.digest, "bricks": part.bricks, "crc32": checksum}
    half = path.with_suffix(".json.part")
    half.write_text(json.dumps(note))
    os.replace(half, path.with_suffix(".json"))
    return part


class _Checked:
    """A file for Arrow to write to, with the CRC-32 of what was written."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self.crc32 = 0

    def write(self, data: Any) -> int:
        self.crc32 = zlib.crc32(data, self.crc32)
        return int(self._file.write(data))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The file is closed by who opened it."""


def _write_part(path: Path, rows: Iterator[pa.Table], funnel: Funnel) -> tuple[int, list[str]]:
    """Write a part as its rows come; gives its checksum and its bricks, and counts repeated ids in the funnel."""
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
            bricks.update(table["brickname"].unique().to_pylist())
        if stream is not None:
            stream.close()
    distinct = pc.count_distinct(pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string()))
    funnel.repeated = funnel.kept - int(distinct.as_py())
    return checked.crc32, sorted(bricks)


def _noted(file: str, path: Path) -> Part | None:
    """A part that an earlier run finished, and that no crash has spoilt."""
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        with path.open("rb") as rows:
            checksum = 0
            while chunk := rows.read(1 << 22):
                checksum = zlib.crc32(chunk, checksum)
    except (FileNotFoundError, ValueError):
        return None
    if checksum != note["crc32"]:
        return None
    return Part(file, path, _funnel(note["funnel"]), note["digest"], note["bricks"])


def _funnel(told: dict[str, Any]) -> Funnel:
    """A funnel that was noted as JSON."""
    counts = {name: Counter(of) for name, of in told["counts"].items()}
    return Funnel(**{**told, "lost": Counter(told["lost"]), "counts": counts})


def _tests(values: sweeps.Values, criteria: Criteria) -> dict[str, NDArray[np.bool_]]:
    """Each criterion by name, True where a row passes it; a criterion on NaN is not passed."""
    import numpy as np

    bits = -1 if criteria.masked_bits is None else sum(1 << bit for bit in criteria.masked_bits)
    tests = {
        f"type not {'/'.join(criteria.types)}": np.isin(values("type"), [kind.encode() for kind in criteria.types]),
        "maskbits": (values("maskbits") & bits) == 0,
    }
    for band, least in zip("grz", (criteria.min_nobs_g, criteria.min_nobs_r, criteria.min_nobs_z), strict=True):
        tests[f"nobs_{band} < {least}"] = values(f"nobs_{band}") >= least
    if criteria.max_mag_z is not None:
        tests[f"mag_z >= {criteria.max_mag_z:g}"] = magnitude(values("flux_z")) < criteria.max_mag_z
    if criteria.min_dec is not None and criteria.max_dec is not None:
        tests["dec"] = (values("dec") > criteria.min_dec) & (values("dec") < criteria.max_dec)
    return tests


def validation(funnel: Funnel, limits: Any) -> list[tuple[str, float | int, str, bool]]:
    """The plan's validation table (2.1) of a pool: metric, value, target, whether it is met.

    Parameters
    ----------
    limits
        Has min_rows, min_types, and n2, train, val and test as least and greatest share.
    """
    table: list[tuple[str, float | int, str, bool]] = [
        ("rows", funnel.kept, f">= {limits.min_rows:,}", funnel.kept >= limits.min_rows),
        ("ids that another row has", funnel.repeated, "0", not funnel.repeated),
    ]
    n2_low, n2_high = limits.n2
    shares = {"N1": ("pool", (1 - n2_high, 1 - n2_low)), "N2": ("pool", limits.n2)}
    shares |= {name: ("split", getattr(limits, name)) for name in ("train", "val", "test")}
    for name, (column, (low, high)) in shares.items():
        share = funnel.counts[column][name] / funnel.kept
        table.append((f"{name}, %", 100 * share, f"{100 * low:g} to {100 * high:g}", low <= share <= high))
    types = len(funnel.counts["type"])
    table.append(("galaxy types", types, f">= {limits.min_types}", types >= limits.min_types))
    table.append(("nulls in critical columns", funnel.nulls, "0", not funnel.nulls))
    return table


def classes(funnel: Funnel) -> list[tuple[str, str, int, float]]:
    """How a pool is divided: column, value, rows, share in percent."""
    return [
        (name, value, count, 100.0 * count / funnel.kept)
        for name, of in funnel.counts.items()
        for value, count in sorted(of.items())
    ]
