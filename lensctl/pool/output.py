"""Where a pool is built, and how its parts become one file or folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from lensctl.io.provenance.steps import Chain, stamp
from lensctl.io.storage import resumable
from lensctl.io.storage.atomic import refuse_existing, upload
from lensctl.io.storage.incomplete import refuse_existing_folder, upload_folder
from lensctl.io.storage.resumable import Job
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables import partitioned
from lensctl.io.tables.files import write_batches
from lensctl.pool.parts import Part, batches


def workplace_of(output: str, by: str, overwrite: bool, folder: bool) -> str | Path:
    """Where the output is built: in place on disk, in the cache for S3; InputError if it exists."""
    if not is_s3(output):
        return output
    if folder:
        refuse_existing_folder(output, by, overwrite)
    else:
        refuse_existing(output, overwrite)
    return resumable.workplace(output)


def put(job: Job, made: Path, output: str, by: str, overwrite: bool) -> None:
    """Move the output to its destination and remove the work folder."""
    if not is_s3(output):
        job.finish(made)
        return
    if made.is_dir():
        upload_folder(made, output, by, overwrite)
    else:
        upload(made, output, overwrite)
    job.abandon()


def written(parts: Iterable[Part], target: str, partition_by: list[str], kind: str) -> Callable[[Chain], None]:
    """Collect the parts as they arrive; returns a function that finishes the output once its provenance is known.

    Parquet is written immediately; other formats, which hold provenance at their start, once all parts are ready.
    """
    if kind != "parquet" or target == "-":
        waiting = list(parts)

        def write(chain: Chain) -> None:
            schema = next(batch.schema for part in waiting for batch in batches(part))
            stamped = stamp(schema.empty_table(), chain).schema
            rows = (batch.replace_schema_metadata(stamped.metadata) for part in waiting for batch in batches(part))
            write_batches(stamped, rows, target, overwrite=True, format=kind)

        return write
    path, writer = Path(target), None
    if path.is_dir():
        shutil.rmtree(path)
    for part in parts:
        for batch in batches(part):
            writer = writer or partitioned.Writer(path, batch.schema, partition_by)
            writer.write(batch)
    return writer.close if writer else lambda chain: None
