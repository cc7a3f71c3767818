"""Objects that are files under a folder."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lensctl.io import claims
from lensctl.io.storage.atomic import replace_file, sync_to_disk
from lensctl.rules.errors import InputError
from lensctl.rules.object_names import SYNC, is_data
from lensctl.sync.object_store import Changed, DiskFull, Entry, ObjectStore

CHUNK_BYTES = 1 << 20
STAGE = f"{SYNC}.part"
"""Folder in the target where files are staged until complete."""
JOURNAL, NOTE = f"{SYNC}.jsonl", "note"


class Disk:
    """A folder, or one file in it. See `ObjectStore` for the methods."""

    stages = True

    def __init__(self, path: str, pattern: str = "") -> None:
        self.pattern = pattern
        self.only = ""
        if os.path.isfile(path):
            path, self.only = os.path.split(path)
        self.root = Path(path or ".")
        self.name = str(self.root)
        self._below_root = os.path.join(self.name, "")  # joining strings is ten times faster than joining paths
        self._stage = self.root / STAGE
        self._numbers = itertools.count()
        self._journal = -1
        self._created: list[Path] = []
        self._checked: set[str] = set()
        self._lock = threading.Lock()

    def entries(self) -> Iterator[Entry]:
        """Files under the folder, in name order; links are followed."""
        if self.only:
            yield self._entry(self.only)
        elif self.root.is_dir():
            yield from self._below("", {os.path.realpath(self.root)})

    def _below(self, prefix: str, above: set[str]) -> Iterator[Entry]:
        try:
            with os.scandir(self.root / prefix) as found:
                names = sorted((item.name, item.is_dir()) for item in found)
        except OSError as error:
            yield Entry(prefix.rstrip("/") or ".", 0, "", 0, problem=error.strerror or str(error))
            return
        for name, is_folder in names:
            key = prefix + name
            if not is_data(name):
                continue
            if not is_folder:
                yield self._entry(key)
            elif (real := os.path.realpath(self.root / key)) in above:
                yield Entry(key, 0, "", 0, problem="is a link to a folder that contains it")
            else:
                yield from self._below(key + "/", above | {real})

    def _entry(self, key: str) -> Entry:
        try:
            facts = os.stat(self._below_root + key)
        except OSError as error:
            return Entry(key, 0, "", 0, problem=error.strerror or str(error))
        problem = "" if stat.S_ISREG(facts.st_mode) else "is not a file"
        return Entry(key, facts.st_size, _stamp(facts), facts.st_mtime_ns, problem=problem)

    def find(self, key: str) -> Entry | None:
        """One file, or None if there is none."""
        entry = self._entry(key)
        return None if entry.problem else entry

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a file; Changed if it was modified since it was listed."""
        with open(self._below_root + entry.key, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
            facts = os.fstat(file.fileno())
        if (facts.st_size, _stamp(facts)) != (entry.size, entry.stamp):
            raise Changed(entry.key)

    def is_sealed(self, key: str) -> bool:
        """False: files have no ETags."""
        return False

    def put(self, key: str, chunks: Iterable[bytes], size: int, modified_ns: int) -> Callable[[], Entry]:
        """Write a file to the stage and flush it; calling the returned function moves it to its name."""
        if size > CHUNK_BYTES and size > (room := self.free_bytes()):
            reason = f"{self.name}: {room:,} bytes are free, and {key} needs {size:,}"
            raise DiskFull(reason, "free some space and run the command again")
        part = f"{self._stage}/{next(self._numbers)}"
        try:
            with open(part, "wb", buffering=0) as file:
                for chunk in chunks:
                    view = memoryview(chunk)
                    while len(view):  # an unbuffered write may be partial
                        view = view[file.write(view) :]
                os.utime(file.fileno(), ns=(modified_ns, modified_ns))
                os.fsync(file.fileno())
        except BaseException as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(f"{self.name}: no space left", "free some space and run the command again") from error
            raise

        def appear() -> Entry:
            path = self._below_root + key
            self._make_folder(os.path.dirname(path))
            os.replace(part, path)
            return self._entry(key)

        return appear

    def _make_folder(self, folder: str) -> None:
        """Make a file's parent folders; OSError if a link leads out of this store."""
        if folder in self._checked:
            return
        root = os.path.realpath(self.root)
        if os.path.commonpath([root, os.path.realpath(folder)]) != root:  # before creating anything beyond a link
            raise OSError(errno.EXDEV, f"a link leads out of {self.name}", folder)
        os.makedirs(folder, exist_ok=True)
        self._checked.add(folder)

    def settle(self, entry: Entry, modified_ns: int) -> Entry:
        """Set a file's modification time to that of its source."""
        if entry.modified_ns == modified_ns:
            return entry
        os.utime(self.root / entry.key, ns=(modified_ns, modified_ns))
        return self._entry(entry.key)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files, and folders left empty by that."""
        for key in keys:
            path = self.root / key
            path.unlink(missing_ok=True)
            for folder in itertools.takewhile(lambda folder: folder != self.root, path.parents):
                try:
                    folder.rmdir()
                except OSError:
                    break

    def read_note(self, name: str) -> list[bytes]:
        """Lines of a note, then those an interrupted run left in its journal."""
        files = (self.root / name, self._stage / name)
        return [line for file in files if file.is_file() for line in file.read_bytes().splitlines()]

    def write_note(self, name: str, lines: Iterable[str]) -> None:
        """Write a note atomically; one without lines is removed."""
        text = "".join(f"{line}\n" for line in lines)
        if not text:
            (self.root / name).unlink(missing_ok=True)
            return
        part = self._stage / NOTE
        replace_file(part, [text.encode()])
        os.replace(part, self.root / name)

    def append_note(self, line: str) -> None:
        """Add a line to this run's journal."""
        with self._lock:
            os.write(self._journal, line.encode() + b"\n")

    def free_bytes(self) -> int:
        """Free space on the disk."""
        existing = next(folder for folder in (self.root, *self.root.absolute().parents) if folder.is_dir())
        return shutil.disk_usage(existing).free

    def begin(self, dry_run: bool) -> None:
        """Make the folder and its staging folder, and lock it."""
        if dry_run:
            return
        self._created = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
        self.root.mkdir(parents=True, exist_ok=True)
        while self._journal < 0:
            self._begin_stage()
        for leftover in self._stage.iterdir():
            if leftover.name != JOURNAL:
                leftover.unlink()

    def _begin_stage(self) -> None:
        """Make the staging folder, or take over a killed run's, and lock its journal if it is still there then."""
        if os.path.lexists(self._stage):
            _refuse_foreign(self._stage)
        else:
            self._stage.mkdir(exist_ok=True)
        try:
            journal = claims.open_own(self._stage / JOURNAL, append=True)
        except FileNotFoundError:
            return  # another sync has just removed it
        with contextlib.suppress(claims.NoLocks):  # a copy can be repeated: better than none
            if not claims.claim(journal, self._stage):
                os.close(journal)
                raise InputError(f"{self.name}: another sync is writing to it", "wait until it is done")
        if claims.is_at(journal, self._stage / JOURNAL):
            self._journal = journal
        else:
            os.close(journal)

    def end(self) -> None:
        """Flush the folders written to, remove the stage, and folders created here that stayed empty."""
        if self._journal < 0:
            return
        for written in self._checked:
            with contextlib.suppress(FileNotFoundError):
                sync_to_disk(Path(written))
        shutil.rmtree(self._stage, ignore_errors=True)
        os.close(self._journal)
        with contextlib.suppress(OSError):
            for folder in self._created:
                folder.rmdir()

    def holds(self, other: ObjectStore) -> bool:
        """Whether another store is this folder or lies in it."""
        if not isinstance(other, Disk):
            return False
        here, there = os.path.realpath(self.root), os.path.realpath(other.root)
        return os.path.commonpath([here, there]) == here


def _stamp(facts: os.stat_result) -> str:
    """Modification and inode-change times: the second cannot be set by users."""
    return f"{facts.st_mtime_ns}.{facts.st_ctime_ns}"


def _refuse_foreign(stage: Path) -> None:
    """Raise InputError if what has the name of the staging folder is a link, or not sync's own."""
    with contextlib.suppress(FileNotFoundError):  # removed by another sync just now
        folder = stage.is_dir() and not stage.is_symlink()
        found = list(os.scandir(stage)) if folder else []
        journal = any(entry.name == JOURNAL for entry in found) or not found
        if not (folder and journal and all(map(_is_staged, found))):
            raise InputError(f"{stage} is in the way, and lensctl did not make it", "move it away")


def _is_staged(entry: os.DirEntry[str]) -> bool:
    own = entry.name in (JOURNAL, NOTE, f".{NOTE}.part") or entry.name.isdecimal()
    return own and entry.is_file(follow_symlinks=False)
