"""Survey catalogues: sweeps and Tractor files, FITS or parquet, as rows with the columns lensctl needs."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.astro import brick_names
from lensctl.io import workers
from lensctl.io.addresses import is_web
from lensctl.io.fits.tables import BATCH_ROWS, open_fits_table
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Input
from lensctl.io.reporter import SILENT, Reporter
from lensctl.io.storage import web
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables import catalog_columns, units
from lensctl.io.tables.catalog_columns import PRIMARY, CatalogBatch, NamedBatch
from lensctl.io.tables.files import read_table
from lensctl.io.tables.parquet import parquet_dataset
from lensctl.io.tables.paths import base_name, files_of, format_of, readable
from lensctl.io.temporary import temporary_folder
from lensctl.io.unpacking import sound
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

OLD_RELEASE_COLUMNS = ("shapedev_r", "shapeexp_r")  # DR8 and before
LISTED_AT_ONCE = 16
OF_AN_OBJECT = ("galaxy_id", "brickname", "objid", "type")
"""Columns that say which object a row is, and what it is: a null there is an error."""


class MissingColumns(InputError):
    """A catalogue lacks columns because of its release; the other files will lack them too."""


Values = Callable[[str], "NDArray[Any]"]
"""Returns a column of the rows under consideration, by name."""


def catalog_files(paths: Sequence[str], downloads: str | Path | None = None, report: Reporter = SILENT) -> list[str]:
    """All catalogue files at some paths, sorted; duplicate file names are an error.

    Those on web servers are fetched into `downloads`, and returned as files there, if it is given.

    Raises InputError if a path matches nothing.
    """
    found = sorted({file for path in paths for file in files_of(path)}, key=base_name)
    for first, second in itertools.pairwise(found):
        if base_name(first) == base_name(second):
            raise InputError(f"{first} and {second} have the same name", "name each catalogue file once")
    return found if downloads is None else web.kept(found, downloads, report)


def catalog_input(paths: Sequence[str], digested: Sequence[str] | None = None) -> Input:
    """Many catalogue files as one input: their number, and the digest of names and contents.

    Parameters
    ----------
    digested : sequence of str, optional
        Digest of each file, if known; else all files are read.
    """
    found = [digest(path) for path in paths] if digested is None else digested
    return _input_of(paths, found)


def stamped_input(paths: Sequence[str]) -> Input:
    """The same files as one input before they are read: from names, sizes and times (on S3 and web servers, ETags)."""
    with ThreadPoolExecutor(LISTED_AT_ONCE) as threads:
        return _input_of(paths, list(threads.map(_stamp, paths)))


def _input_of(paths: Sequence[str], stamps: Sequence[str]) -> Input:
    name = base_name(paths[0]) if len(paths) == 1 else f"{len(paths)} files"
    lines = (f"{base_name(path)} {text}" for path, text in zip(paths, stamps, strict=True))
    return Input("catalog", name, digests.of_many(lines))


def digest(path: str) -> str:
    """SHA-256 of a catalogue file's bytes, wherever it is; a list of checksums need not be checked again."""
    known = web.sha256_of(path) if is_web(path) else None
    if known:
        return f"sha256:{known}"
    with _local(path) as local:
        return digests.of_file(local)


def digests_of(paths: Sequence[str], count: int | None = None) -> list[str]:
    """Digest of each file, in order; one worker per core if `count` is not given."""
    found = dict(workers.each(_named_digest, paths, count))
    return [found[path] for path in paths]


def _named_digest(path: str) -> tuple[str, str]:
    return path, digest(path)


def _stamp(path: str) -> str:
    if is_s3(path):
        from lensctl.io.storage import s3

        return s3.stamp(path)
    if is_web(path):
        return web.stamp(path)
    status = Path(path).stat()
    return f"{status.st_size} bytes, {status.st_mtime_ns} ns"


@contextmanager
def _local(path: str) -> Iterator[str]:
    """A local path to the file: itself, or a temporary copy of an object on S3 or a web server."""
    if is_web(path):
        with web.fetched(path) as copy:
            yield str(copy)
        return
    if not is_s3(path):
        yield path
        return
    from lensctl.io.storage import s3

    with temporary_folder("catalogue") as folder:
        copy = folder / base_name(path)
        s3.download(path, copy)
        yield str(copy)


class CatalogScan:
    """One catalogue file, read once from beginning to end.

    Attributes
    ----------
    read : int
        Rows so far; of Tractor files, primary objects only.
    digest : str
        SHA-256 of the file's bytes, once all rows have been read.
    """

    def __init__(self, path: str, survey: Survey = LS_DR10) -> None:
        self.path, self.survey = path, survey
        self.read = 0
        self.digest = ""

    def measured(
        self, keep: Callable[[Values], NDArray[np.bool_]] | None = None, also: Sequence[str] = ()
    ) -> Iterator[pa.Table]:
        """The kept rows with all columns that the survey's catalogue has, those in `also` required; see `rows`."""
        return self.rows((*catalog_columns.needed(self.survey), *also), catalog_columns.carried(self.survey), keep)

    def rows(
        self,
        required: Sequence[str],
        optional: Sequence[str] = (),
        keep: Callable[[Values], NDArray[np.bool_]] | None = None,
        known: Sequence[str] = OF_AN_OBJECT,
    ) -> Iterator[pa.Table]:
        """The kept rows, in order, batch by batch; most columns are read only for these.

        Parameters
        ----------
        required, optional : sequences of str
            Columns to return; the optional ones if the file has them.
        keep : callable, optional
            Takes a function that returns a column, and returns a (N,) bool mask of rows to keep. Default: all.
        known : sequence of str
            Columns in which a null is an error.

        Yields
        ------
        pa.Table
            With `sweep_file` and `row_index`, without objects owned by a neighbouring brick.

        Raises
        ------
        MissingColumns
            Names the missing ones and, for an old release, the releases that have them.
        InputError
            The file is unreadable or incomplete.
        """
        import numpy as np

        with _opened(self.path, self.survey) as (names, batches, digest):
            _require(self.path, names, required, self.survey)
            wanted = catalog_columns.found_in(names, dict.fromkeys((*required, *optional)), self.survey)
            for batch in batches([*wanted, PRIMARY] if PRIMARY in names else wanted):
                rows = np.arange(len(batch))
                if PRIMARY in names:
                    rows = np.flatnonzero(batch.values(PRIMARY))
                self.read += len(rows)
                if keep is not None:
                    rows = rows[keep(_of_some(batch, rows))]
                yield self._finished(batch.take(rows, wanted), batch.first + rows, known)
            self.digest = digest()

    def _finished(self, table: pa.Table, numbers: NDArray[np.int64], known: Sequence[str]) -> pa.Table:
        import pyarrow as pa

        for name in known:
            if name in table.column_names and table[name].null_count:
                row = int(numbers[table[name].is_null().index(True).as_py()])
                raise InputError(f"{self.path}: column '{name}' is null in row {row}", "repair or drop those rows")
        table = table.append_column("row_index", pa.array(numbers, pa.int64()))
        return table.append_column("sweep_file", pa.repeat(base_name(self.path), table.num_rows))


def _of_some(batch: NamedBatch, rows: NDArray[np.int64]) -> Values:
    if len(rows) == len(batch):
        return functools.cache(batch.values)
    return functools.cache(lambda name: batch.values(name)[rows])


_Opened = tuple[Sequence[str], Callable[[Sequence[str]], Iterator[NamedBatch]], Callable[[], str]]


@contextmanager
def _opened(path: str, survey: Survey) -> Iterator[_Opened]:
    """A catalogue file: its column names in lower case, a function that reads columns by ours, and its digest's."""
    if format_of(path) == "fits":
        with open_fits_table(path) as table:
            catalog_columns.refuse_other_units(table.units, path, survey)
            yield table.names, _named(table.batches, survey, path), table.digest
    else:
        with _local(path) as local, readable(path):
            found = _Arrow(local, format_of(path), path)
            catalog_columns.refuse_other_units(found.units, path, survey)
            yield found.names, _named(found.batches, survey, path), functools.partial(digests.of_file, local)


def _named(
    batches: Callable[[Sequence[str]], Iterator[CatalogBatch]], survey: Survey, where: str
) -> Callable[[Sequence[str]], Iterator[NamedBatch]]:
    """The function that reads columns by the catalogue's names, as one that reads them by ours."""

    def read(names: Sequence[str]) -> Iterator[NamedBatch]:
        sources = (catalog_columns.source_of(name, survey).column for name in names)
        for batch in batches(list(dict.fromkeys(column.lower() for column in sources if column is not None))):
            yield NamedBatch(batch, survey, where)

    return read


def columns_of(path: str, survey: Survey) -> list[str]:
    """Our names of the measured columns that a catalogue file has."""
    with _opened(path, survey) as (names, _, _):
        wanted = (*catalog_columns.needed(survey), *catalog_columns.carried(survey))
        return catalog_columns.found_in(names, wanted, survey)


class _Arrow:
    """A catalogue in parquet or another table format."""

    def __init__(self, path: str, kind: str, where: str) -> None:
        import pyarrow.dataset

        self._found = (
            parquet_dataset(path)
            if kind == "parquet"
            else pyarrow.dataset.dataset(read_table(path, format=kind, allow_empty=True))
        )
        self._actual = schema.folded(self._found.schema.names, where)
        self.names = tuple(self._actual)
        self.units = {name.lower(): unit for name, unit in units.given(self._found.schema).items()}

    def batches(self, names: Sequence[str]) -> Iterator[CatalogBatch]:
        import pyarrow as pa

        first = 0
        batches = self._found.to_batches(
            columns=[self._actual[name] for name in names],
            batch_size=BATCH_ROWS,
            batch_readahead=2,
            fragment_readahead=1,
            use_threads=False,
        )
        empty = [self._found.schema.empty_table().select([self._actual[name] for name in names])]
        for batch in itertools.chain(map(pa.Table.from_batches, ([b] for b in batches)), empty):
            if batch.num_rows or not first:
                yield _ArrowBatch(first, sound(batch).rename_columns(list(names)))
            first += batch.num_rows


class _ArrowBatch:
    """See `CatalogBatch`."""

    def __init__(self, first: int, table: pa.Table) -> None:
        self.first = first
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def column(self, name: str, rows: NDArray[np.int64] | None = None) -> pa.ChunkedArray:
        """See `CatalogBatch`."""
        import pyarrow as pa

        return self._table[name] if rows is None else self._table[name].take(pa.array(rows))


def refuse_bad_positions(scan: CatalogScan, values: Values) -> None:
    """Raise InputError if a position in a batch is NaN, out of range or far from its brick, counting in the file."""
    import numpy as np

    ra, dec, survey = values("ra"), values("dec"), scan.survey
    if not ((ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90)).all():
        schema.refuse_bad_positions(read_catalog(scan.path, ("ra", "dec"), survey), scan.path)
    if "brickname" in catalog_columns.needed(survey) and brick_names.far(values("brickname"), ra, dec, survey).any():
        brick_names.refuse_far(read_catalog(scan.path, ("ra", "dec", "brickname"), survey), scan.path, survey)


def read_catalog(path: str, columns: Sequence[str], survey: Survey = LS_DR10) -> pa.Table:
    """All rows of a catalogue file, with those of some columns that it has (see `CatalogScan.rows`)."""
    import pyarrow as pa

    return pa.concat_tables(list(CatalogScan(path, survey).rows((), columns)))


def _require(path: str, found: Sequence[str], names: Sequence[str], survey: Survey) -> None:
    import pyarrow as pa

    there = catalog_columns.found_in(found, names, survey)
    missing = [name for name in names if name not in there]
    if missing and survey.columns:
        sources = {name: catalog_columns.source_of(name, survey).column for name in missing}
        listed = ", ".join(name if name == column else f"{name} (from {column})" for name, column in sources.items())
        raise MissingColumns(
            f"{path}: columns missing: {listed} (found: {', '.join(found[:12])})",
            f"say in the columns of survey {survey.name} where they come from",
        )
    if missing and any(name in found for name in OLD_RELEASE_COLUMNS):
        listed = ", ".join(missing)
        raise MissingColumns(
            f"{path}: columns of DR8 or before; missing: {listed}",
            "use the sweeps or Tractor catalogues of DR9 or DR10, which have them",
        )
    try:
        fields = [(name, pa.null()) for name in dict.fromkeys((*there, *found))]
        schema.require(pa.schema(fields), *names, where=path, survey=survey)
    except InputError as error:
        raise MissingColumns(str(error), f"{error.fix}; or name the catalogue's survey with --survey") from error
