"""Folders written by many processes until complete: in a working folder beside them on disk, or in place on S3.

Files are made on disk either way. On S3 each is uploaded in one piece, followed by its part (in `_parts/`); the mark
`_INCOMPLETE` holds the run's parameters until the folder is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from lensctl.io.storage import incomplete, resumable, s3, working_folders
from lensctl.io.storage.atomic import exists_error, forget, is_part, replace_file
from lensctl.io.storage.s3 import is_s3
from lensctl.io.storage.working_folders import FAILED_FILE
from lensctl.io.temporary import temporary_folder
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

PARTS = "parts"
NOTES = f"_{PARTS}"
"""Folder on S3 with the parts of a growing folder."""


class GrowingFolder(Protocol):
    """A growing folder: a cutout store, or a pool of many files."""

    @property
    def path(self) -> str:
        """Path of the finished folder."""

    def scratch(self) -> AbstractContextManager[Path]:
        """A folder to make files in, under their final names."""

    def settle(self, folder: Path, names: Sequence[str]) -> None:
        """Take over files made in a scratch folder."""

    def take(self, file: Path, name: str) -> None:
        """Move a file made elsewhere into the folder, under this name."""

    def size(self, name: str) -> int:
        """Size of a file in bytes; OSError if there is none."""

    def put_part(self, name: str, data: bytes) -> None:
        """Store a named part beside the folder, atomically."""

    def part(self, name: str) -> bytes:
        """A stored part; OSError if there is none."""

    def parts(self) -> set[str]:
        """Names of all stored parts."""

    def finish(self) -> None:
        """Complete the folder."""

    def abandon(self) -> None:
        """Discard everything, so that nothing can be resumed."""


@dataclass(frozen=True)
class GrowingOnDisk:
    """A folder growing in a job's working folder."""

    path: str
    job: resumable.Job

    @classmethod
    def of(cls, job: resumable.Job) -> GrowingOnDisk:
        """From a job, new or resumed."""
        (job.folder / PARTS).mkdir(exist_ok=True)
        return cls(str(job.path), replace(job, folder=job.folder.resolve(), built=job.built.resolve()))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """The working folder itself."""
        yield self.job.built

    def settle(self, folder: Path, names: Sequence[str]) -> None:
        """The files are in place; drop them from the page cache, which is better used for reading."""
        for name in names:
            forget(folder / name)

    def take(self, file: Path, name: str) -> None:
        """Move it to the working folder."""
        target = self.job.built / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)

    def size(self, name: str) -> int:
        """Size of a file in bytes."""
        return os.path.getsize(self.job.built / name)

    def put_part(self, name: str, data: bytes) -> None:
        """Store a named part."""
        replace_file(self.job.folder / PARTS / name, [data])

    def part(self, name: str) -> bytes:
        """A stored part."""
        return (self.job.folder / PARTS / name).read_bytes()

    def parts(self) -> set[str]:
        """Names of all stored parts."""
        return {name for name in os.listdir(self.job.folder / PARTS) if not is_part(name)}

    def finish(self) -> None:
        """Move the folder into place."""
        for pattern in ("*.__lock", "*.partial"):  # left by killed writers, of tensorstore and zarr
            for stray in self.job.built.rglob(pattern):
                stray.unlink()
        self.job.finish()

    def abandon(self) -> None:
        """Discard everything, so that nothing can be resumed."""
        self.job.abandon()


@dataclass(frozen=True)
class GrowingOnS3:
    """A folder growing in place on S3, with its parts, so that any machine can resume it."""

    path: str
    writer: bytes
    again: bool = False

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder."""
        with temporary_folder("store") as folder:
            yield folder

    def settle(self, folder: Path, names: Sequence[str]) -> None:
        """Upload them, each atomically."""
        for name in names:
            self.take(folder / name, name)

    def take(self, file: Path, name: str) -> None:
        """Upload it atomically."""
        s3.upload(file, f"{self.path}/{name}")

    def size(self, name: str) -> int:
        """Size of a file in bytes."""
        return s3.size(f"{self.path}/{name}")

    def put_part(self, name: str, data: bytes) -> None:
        """Store a named part."""
        s3.write_object(f"{self.path}/{NOTES}/{name}", data)

    def part(self, name: str) -> bytes:
        """A stored part."""
        return s3.read_object(f"{self.path}/{NOTES}/{name}")

    def parts(self) -> set[str]:
        """Names of all stored parts."""
        return {name.rpartition("/")[2] for name in s3.list_objects(f"{self.path}/{NOTES}")}

    def finish(self) -> None:
        """Remove the mark and the parts."""
        incomplete.unmark(self.path, self.writer)
        s3.delete(s3.list_objects(f"{self.path}/{NOTES}"))

    def abandon(self) -> None:
        """Discard everything; a folder that was complete before stays so."""
        if self.again:
            self.finish()
        else:
            incomplete.refuse_other(self.path, self.writer)
            s3.delete(s3.list_objects(self.path))


@contextmanager
def begin_folder(
    path: str,
    identity: Mapping[str, Any],
    *,
    overwrite: bool = False,
    afresh: bool = False,
    again: bool = False,
    part: str | None = None,
) -> Iterator[GrowingOnDisk | GrowingOnS3]:
    """Start a folder, or resume one started with the same parameters.

    Parameters
    ----------
    path : str
        Local folder or `s3://`.
    identity, overwrite, afresh
        As for `resumable.job`.
    again : bool
        `path` is complete and was made with these parameters; some of it is to be remade.
    part : str, optional
        This process makes only this part, alongside others.

    Raises
    ------
    InputError
        As for `resumable.job`. A second process on the same machine is refused, on S3 too.
    """
    if not is_s3(path):
        with resumable.job(path, identity, overwrite=overwrite or again, afresh=afresh, part=part) as job:
            yield GrowingOnDisk.of(job)
        return
    path = "s3://" + path.split("://", 1)[1].rstrip("/")
    if not s3.split_url(path)[1]:
        raise InputError(f"{path} is a bucket", "name a folder in it")
    parameters = json_value(json.dumps(identity, sort_keys=True))
    writer = json.dumps(parameters, indent=1, sort_keys=True).encode()
    with working_folders.held(resumable.workplace(path), path, part):
        found = incomplete.writer_of(path)
        earlier = working_folders.read_parameters(found)
        other = earlier is not None and earlier != parameters
        if other and not overwrite and not _has_failed(path):
            raise resumable.other_parameters_error(path, earlier or {}, parameters, "--overwrite to start over")
        if earlier is None and not overwrite and not again and (found is not None or is_complete(path)):
            raise exists_error(path)
        if earlier == parameters and not afresh:
            s3.delete([f"{path}/{NOTES}/{FAILED_FILE}"])
        else:
            # notes: left by a run killed just after finishing; listed before others of this run can have made any
            old = s3.list_objects(path if other or afresh else f"{path}/{NOTES}")
            if incomplete.mark(path, writer, over=found is not None or overwrite, shared=part is not None or again):
                s3.delete([name for name in old if not incomplete.is_mark(name)])
        try:
            yield GrowingOnS3(path, writer, again)
        except Exception as error:
            if not part and resumable.is_final(error):
                s3.write_object(f"{path}/{NOTES}/{FAILED_FILE}", b"")
            raise


def _has_failed(path: str) -> bool:
    """Whether the run that began a folder on S3 has failed by its input."""
    return s3.exists(f"{path}/{NOTES}/{FAILED_FILE}")


def is_begun(path: str) -> bool:
    """Whether a growing folder exists at a path on S3."""
    return is_s3(path) and incomplete.writer_of(path) is not None


def is_complete(path: str) -> bool:
    """Whether something exists at a path that is not growing: asked last, as another process may begin it just now."""
    exists = s3.exists(path) if is_s3(path) else Path(path).exists()
    return exists and not is_begun(path)
