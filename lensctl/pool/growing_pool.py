"""A pool written by the executors of a cluster, one or more files per catalogue file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lensctl.astro.lens_units import Lenses
from lensctl.io.provenance.steps import Chain
from lensctl.io.storage.growing_folders import GrowingFolder
from lensctl.io.tables import partitioned, sweeps
from lensctl.io.tables.criteria import Criteria
from lensctl.io.temporary import temporary_folder
from lensctl.pool.funnel import Funnel, funnel_from
from lensctl.pool.select import negatives
from lensctl.rules.config import as_written, json_value
from lensctl.rules.errors import LensctlError, ServiceError
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa


def partitions(survey: Survey) -> tuple[str, ...]:
    """Columns a pool can be partitioned by: those with few values, to keep the number of files small."""
    return ("split", "pool", "type", survey.nobs_bin)


@dataclass(frozen=True)
class PoolWriter:
    """Writes the negatives of one catalogue file to a growing pool; runs on any executor.

    Parameters
    ----------
    place : GrowingFolder
        The pool's folder.
    criteria, lenses
        As for `select`.
    partition_by : tuple of str
        Columns to partition the pool by.
    chain : Chain
        The pool's provenance.
    """

    place: GrowingFolder
    criteria: Criteria
    lenses: Lenses
    partition_by: tuple[str, ...]
    chain: Chain

    def __call__(self, task: tuple[int, str]) -> Funnel:
        """Write the part of a (number, file) pair unless it exists; returns its funnel."""
        number, file = task
        note = f"part-{number:05d}.json"
        try:
            with as_written(f"{self.place.path}: part {number}", "run with --overwrite"):
                return funnel_from(json_value(self.place.part(note)))
        except FileNotFoundError:
            pass
        funnel = Funnel()
        try:
            with temporary_folder("pool") as folder:
                target = folder / (Path(note).stem + ".parquet" if not self.partition_by else "made")
                scan = sweeps.CatalogScan(file, self.criteria.survey)
                rows = negatives(scan, self.criteria, self.lenses, funnel)
                for path in sorted(self._write(target, rows)):
                    name = path.relative_to(target if target.is_dir() else folder).as_posix()
                    self.place.take(path, name.replace("part-", f"part-{number:05d}-") if self.partition_by else name)
        except LensctlError as error:
            if isinstance(error, sweeps.MissingColumns | ServiceError):
                raise
            return Funnel(bad={file: str(error)})
        self.place.put_part(note, json.dumps(vars(funnel)).encode())
        return funnel

    def _write(self, path: Path, tables: Iterator[pa.Table]) -> list[Path]:
        """Write the rows to a file or hive-partitioned folder; returns the files, none if there are no rows."""
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
