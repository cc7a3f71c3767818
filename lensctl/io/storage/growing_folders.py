"""Where a folder that many make grows until it is whole: in a workplace beside it on disk, or in its place on S3.

Files are made on disk either way. On S3 each is uploaded in one piece, then a note that speaks of it (in `_parts/`);
the mark `_INCOMPLETE` holds the words of the run until the folder is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lensctl.io.storage import incomplete, resumable, s3
from lensctl.io.storage.atomic import forget, sync_to_disk
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError

PARTS = "parts"
NOTES = f"_{PARTS}"
"""Folder on S3 of what is noted of a growing folder."""


class GrowingFolder(Protocol):
    """A growing folder: a cutout store, or a pool of many files."""

    @property
    def path(self) -> str:
        """Of the folder when it is whole."""

    def scratch(self) -> AbstractContextManager[Path]:
        """A folder to make files in, under the names they will have."""

    def settle(self, folder: Path, names: Sequence[str]) -> None:
        """Take files that were made in a scratch folder."""

    def take(self, file: Path, name: str) -> None:
        """Take a file that was made somewhere else, under this name."""

    def size(self, name: str) -> int:
        """Bytes of a file; OSError where there is none."""

    def put_part(self, name: str, data: bytes) -> None:
        """Note something beside it, whole or not at all."""

    def part(self, name: str) -> bytes:
        """What was noted; OSError where nothing was."""

    def finish(self) -> None:
        """It is whole."""

    def abandon(self) -> None:
        """Leave nothing to go on with."""


@dataclass(frozen=True)
class GrowingOnDisk:
    """What grows in a job's workplace."""

    path: str
    job: resumable.Job

    @classmethod
    def of(cls, job: resumable.Job) -> GrowingOnDisk:
        """Of a job that has just begun, or goes on."""
        (job.folder / PARTS).mkdir(exist_ok=True)
        place = resumable.Job(job.path, job.folder.resolve(), job.built.resolve(), job.resumed)
        return cls(str(job.path), place)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """The workplace itself."""
        yield self.job.built

    def settle(self, folder: Path, names: Sequence[str]) -> None:
        """They are where they belong; memory is better used for what is read than for what is on disk now."""
        for name in names:
            forget(folder / name)

    def take(self, file: Path, name: str) -> None:
        """Move it to the workplace."""
        target = self.job.built / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return os.path.getsize(self.job.built / name)

    def put_part(self, name: str, data: bytes) -> None:
        """Note something beside it."""
        half = self.job.folder / PARTS / f".{name}.part"
        half.write_bytes(data)
        sync_to_disk(half)
        os.replace(half, half.with_name(name))

    def part(self, name: str) -> bytes:
        """What was noted."""
        return (self.job.folder / PARTS / name).read_bytes()

    def finish(self) -> None:
        """Give the store its name."""
        for stray in self.job.built.rglob("*.__lock"):  # a writer that was killed leaves its own
            stray.unlink()
        self.job.finish()

    def abandon(self) -> None:
        """Leave nothing to go on with."""
        self.job.abandon()


@dataclass(frozen=True)
class GrowingOnS3:
    """What grows in its own place on S3; the notes are there too, so any machine can go on."""

    path: str
    again: bool = False

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder."""
        with tempfile.TemporaryDirectory(prefix="lensctl-store-") as folder:
            yield Path(folder)

    def settle(self, folder: Path, names: Sequence[str]) -> None:
        """Upload them, each whole."""
        for name in names:
            self.take(folder / name, name)

    def take(self, file: Path, name: str) -> None:
        """Upload it, whole."""
        s3.upload(file, f"{self.path}/{name}")

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return s3.size(f"{self.path}/{name}")

    def put_part(self, name: str, data: bytes) -> None:
        """Note something beside it."""
        s3.write_object(f"{self.path}/{NOTES}/{name}", data)

    def part(self, name: str) -> bytes:
        """What was noted."""
        return s3.read_object(f"{self.path}/{NOTES}/{name}")

    def finish(self) -> None:
        """Take away the mark, and the notes."""
        incomplete.unmark(self.path)
        s3.delete(s3.list_objects(f"{self.path}/{NOTES}"))

    def abandon(self) -> None:
        """Leave nothing to go on with; what was whole before stays so."""
        if self.again:
            self.finish()
        else:
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
    """Begin a folder, or go on with the one that was begun in the same words.

    Parameters
    ----------
    path : str
        Local folder or `s3://`.
    identity, overwrite, afresh
        As of `jobs.job`.
    again : bool
        What stands at `path` is whole, and made in these words; some of it is made once more.
    part : str, optional
        This process makes only this part, beside others.

    Raises
    ------
    InputError
        As `jobs.job`. Of two processes on one machine the second is refused, on S3 too.
    """
    if not is_s3(path):
        with resumable.job(path, identity, overwrite=overwrite or again, afresh=afresh, part=part) as job:
            yield GrowingOnDisk.of(job)
        return
    path = "s3://" + path.split("://", 1)[1].rstrip("/")
    if not s3.split_url(path)[1]:
        raise InputError(f"{path} is a whole bucket", "name a folder in it")
    words = json.loads(json.dumps(identity, sort_keys=True))
    with resumable.held(resumable.workplace(path), path, part):
        begun = resumable.read_words(incomplete.writer_of(path))
        if begun is not None and begun != words and not overwrite:
            raise resumable.other_words(path, begun, words, "--overwrite to start afresh")
        if begun is None and not overwrite and not again and s3.exists(path):
            raise InputError(f"{path} exists", "give another name, or --overwrite to replace it")
        if afresh or (begun is not None and begun != words):
            s3.delete(s3.list_objects(path))
        if begun != words or afresh:
            s3.delete(s3.list_objects(f"{path}/{NOTES}"))  # of one that was killed when it had just finished
            incomplete.mark(path, json.dumps(words, indent=1, sort_keys=True).encode())
        yield GrowingOnS3(path, again)


def is_begun(path: str) -> bool:
    """Whether something grows at a place on S3."""
    return is_s3(path) and incomplete.writer_of(path) is not None
