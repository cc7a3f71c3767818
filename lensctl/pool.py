"""The negative pool: which catalogue rows may serve as negatives, and of what kind each is."""

from __future__ import annotations

import functools
import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.doors import sweeps, tables
from lensctl.words import derived, geometry, schema, strata
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


FUNNEL = "lensctl.funnel"


@dataclass(frozen=True)
class Criteria:
    """What a row must be to serve as a negative; magnitudes are observed AB, angles degrees or arcsec.

    `masked_bits` are the bits of maskbits that reject a row; None rejects any bit.
    """

    types: tuple[str, ...] = strata.TYPES
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
    """How many rows were read, lost to each criterion (in the order they are tried) and kept; and the bad files."""

    read: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    bad: dict[str, str] = field(default_factory=dict)

    def add(self, other: Funnel) -> None:
        """Count another file's rows in."""
        self.read += other.read
        self.lost.update(other.lost)
        self.kept += other.kept


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
    import numpy as np
    import pyarrow as pa

    sweeps.require_columns(path, derived.REQUIRED)
    raw = sweeps.read(path, (*derived.REQUIRED, *derived.OPTIONAL))
    schema.refuse_bad_positions(raw, path)
    lost: Counter[str] = Counter()
    keep = np.ones(raw.num_rows, bool)
    for name, passed in _tests(raw, criteria).items():
        lost[name] = int((keep & ~passed).sum())
        keep &= passed
    rows = raw.filter(pa.array(keep))
    if len(lens_ra):
        _, separation = geometry.nearest(rows["ra"].to_numpy(), rows["dec"].to_numpy(), lens_ra, lens_dec)
        far = separation > criteria.exclude_arcsec
        lost["near a lens"] = int((~far).sum())
        rows = rows.filter(pa.array(far))
    return derived.with_derived(rows), Funnel(raw.num_rows, lost, rows.num_rows)


def select_all(
    files: Sequence[str],
    folder: Path,
    criteria: Criteria,
    lens_ra: NDArray[np.float64],
    lens_dec: NDArray[np.float64],
    *,
    workers: int = 1,
    advance: Callable[[int], None] = lambda done: None,
) -> Funnel:
    """The negatives of many files, each file's in a parquet part of its own in `folder`.

    Parts that are there already are not made again, so an interrupted run goes on where it was. A file that
    cannot be read is passed over and named in the funnel.
    """
    total = Funnel()
    job = functools.partial(_write_part, folder=folder, criteria=criteria, lens_ra=lens_ra, lens_dec=lens_dec)
    for file, funnel in _each(job, files, workers):
        if isinstance(funnel, Funnel):
            total.add(funnel)
        else:
            total.bad[file] = funnel
        advance(1)
    return total


def _each(job: Callable[[str], Funnel | str], files: Sequence[str], workers: int) -> Iterator[tuple[str, Funnel | str]]:
    """Results of a job for each file, in their order; in processes of their own where there is more than one."""
    workers = min(workers, len(files))
    if workers == 1:
        yield from ((file, job(file)) for file in files)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as processes:
        yield from zip(files, processes.map(job, files), strict=True)


def part_name(file: str) -> str:
    """Name of the part that holds one catalogue file's rows."""
    return file.rsplit("/", 1)[-1] + ".parquet"


def _write_part(
    file: str, folder: Path, criteria: Criteria, lens_ra: NDArray[np.float64], lens_dec: NDArray[np.float64]
) -> Funnel | str:
    """Write one file's rows beside the other parts, with its funnel as metadata; text says what was wrong with it."""
    part = folder / part_name(file)
    if part.exists():
        return _funnel_of(part)
    try:
        rows, funnel = select(file, criteria, lens_ra, lens_dec)
    except InputError as error:
        if "columns" in str(error):  # every file of the release lacks them: no use in going on
            raise
        return str(error)
    tables.write(rows.replace_schema_metadata({FUNNEL: json.dumps([funnel.read, funnel.lost, funnel.kept])}), str(part))
    return funnel


def _funnel_of(part: Path) -> Funnel:
    import pyarrow.parquet as pq

    read, lost, kept = json.loads(pq.read_schema(part).metadata[FUNNEL.encode()])
    return Funnel(read, Counter(lost), kept)


def _tests(rows: pa.Table, criteria: Criteria) -> dict[str, NDArray[np.bool_]]:
    """Each criterion by name, True where a row passes it; a criterion on NaN is not passed."""
    import numpy as np

    column = {name: rows[name].to_numpy() for name in ("nobs_g", "nobs_r", "nobs_z", "maskbits", "flux_z", "dec")}
    kinds = rows["type"].to_numpy(zero_copy_only=False)
    bits = -1 if criteria.masked_bits is None else sum(1 << bit for bit in criteria.masked_bits)
    tests = {
        f"type not {'/'.join(criteria.types)}": np.isin(kinds.astype("U4"), criteria.types),
        "maskbits": (column["maskbits"] & bits) == 0,
    }
    for band, least in zip("grz", (criteria.min_nobs_g, criteria.min_nobs_r, criteria.min_nobs_z), strict=True):
        tests[f"nobs_{band} < {least}"] = column[f"nobs_{band}"] >= least
    if criteria.max_mag_z is not None:
        tests[f"mag_z >= {criteria.max_mag_z:g}"] = strata.magnitude(column["flux_z"]) < criteria.max_mag_z
    if criteria.min_dec is not None and criteria.max_dec is not None:
        tests["dec"] = (column["dec"] > criteria.min_dec) & (column["dec"] < criteria.max_dec)
    return tests


def validation(counts: dict[str, Counter[str]], rows: int) -> list[tuple[str, float | int]]:
    """The plan's validation table (2.1) of a pool, for people: shares in percent of each value of some columns."""
    shares: list[tuple[str, float | int]] = [("rows", rows)]
    for name, of in counts.items():
        shares += [(f"{name} {value}, %", 100.0 * count / rows) for value, count in sorted(of.items())]
    return shares
