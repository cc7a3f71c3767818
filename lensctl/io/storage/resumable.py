"""Long jobs that can be killed: a folder beside the output, which says what it is to become, and one owner."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensctl.io.storage.atomic import move_into_place, part_of, refuse_existing, refuse_pipe, sync_to_disk
from lensctl.io.storage.s3 import is_s3
from lensctl.rules.errors import InputError

JOB_FILE, LOCK_FILE, BEGIN_FILE, BUILT = "job.json", "lock", "begin", "whole"


@dataclass(frozen=True)
class Job:
    """An output that is being made: `folder` is its workplace, `built` what becomes `path` when it is whole."""

    path: Path
    folder: Path
    built: Path
    resumed: bool

    def finish(self, made: Path | None = None, *, flushed: bool = False) -> None:
        """Flush the output (`built`, or a file `made` from it) to disk and give it its name; what stood there goes."""
        move_into_place(made or self.built, self.path, flushed=flushed)
        self.abandon()

    def abandon(self) -> None:
        """Leave nothing to go on with: the workplace goes when the job's block ends."""
        (self.folder / JOB_FILE).unlink()


@contextmanager
def job(
    path: str | Path,
    identity: Mapping[str, Any],
    *,
    overwrite: bool = False,
    afresh: bool = False,
    part: str | None = None,
) -> Iterator[Job]:
    """Begin a job, or go on with the one that was begun in the same words.

    The workplace is `.NAME.part` beside `path`, and stays when the job is killed or fails; it goes when the job has
    finished.

    Parameters
    ----------
    path : path
        The file or folder to make, on local disk.
    identity : mapping of JSON values
        What decides the result: command, parameters, digests of the inputs.
    overwrite : bool
        `path` may exist, and is replaced when the job finishes; what was begun in other words is thrown away.
    afresh : bool
        Throw away what an earlier run had done.
    part : str, optional
        Name of the part that this process makes, beside others that make other parts in the same words.

    Raises
    ------
    InputError
        `path` exists, another process is at it, or what was begun has another identity.
    """
    if is_s3(path):
        raise InputError(f"{path}: this output is made on local disk", "make it locally, then `lensctl sync` it")
    refuse_pipe(path)
    path = Path(path)
    refuse_existing(path, overwrite)
    folder = part_of(path)
    with held(folder, path, part):
        with _alone(folder / BEGIN_FILE):
            resumed = _begin(folder, path, _plain(identity), overwrite=overwrite, afresh=afresh)
        yield Job(path, folder, folder / BUILT, resumed)


def _begin(folder: Path, path: Path, words: dict[str, Any], *, overwrite: bool, afresh: bool) -> bool:
    """Make the workplace ready; gives whether there is something to go on with."""
    note = folder / JOB_FILE
    if afresh:
        _empty(folder)
    begun = read_words(note.read_bytes() if note.exists() else None)
    if begun is not None and begun != words:
        if not overwrite:
            raise other_words(path, begun, words, f"remove {folder.name} (or --overwrite) to start afresh")
        _empty(folder)
        begun = None
    if begun is not None and (folder / BUILT).is_dir():
        return True
    _empty(folder)
    (folder / BUILT).mkdir()
    _write_json(note, words)
    return False


def other_words(path: str | Path, begun: Mapping[str, Any], words: Mapping[str, Any], fix: str) -> InputError:
    """The error for an output that was begun with other parameters or inputs."""
    return InputError(
        f"{path} was begun by another run: {difference(begun, words)}", f"run that command again to go on, or {fix}"
    )


def workplace(url: str) -> Path:
    """Where an output on S3 is built on this machine: found again by the same url, whatever becomes of the process.

    It is `lensctl/` in the user's cache folder ($XDG_CACHE_HOME, or ~/.cache), and holds the output once.
    """
    name = url.rstrip("/").rsplit("/", 1)[-1]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lensctl"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{cache}: no folder to build {url} in ({error.strerror})", "set XDG_CACHE_HOME") from error
    return cache / f"{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:16]}-{name}"


@contextmanager
def held(folder: Path, path: str | Path, part: str | None = None) -> Iterator[None]:
    """Hold a folder's lock, which a process loses however it ends; makers of parts hold it together.

    The folder is made, and it goes in the end unless a job stands in it.

    Raises InputError where another process has it, or makes this very part.
    """
    while True:
        folder.mkdir(exist_ok=True)
        with (folder / LOCK_FILE).open("w") as lock:
            try:
                fcntl.flock(lock, (fcntl.LOCK_SH if part else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"{path} is being made by another process", "wait for it to end, or end it") from error
            if not _is_still(lock.fileno(), folder / LOCK_FILE):
                continue  # its owner finished and removed it between our two steps
            with ExitStack() as own:
                if part:
                    mine = own.enter_context((folder / f"{LOCK_FILE}-{part}").open("w"))
                    try:
                        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError as error:
                        raise InputError(
                            f"part {part} of {path} is being made by another process", "wait for it to end, or end it"
                        ) from error
                try:
                    yield
                finally:
                    if not part and not (folder / JOB_FILE).exists():
                        shutil.rmtree(folder)
            return


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait for other makers of parts that are beginning just now."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name.startswith((LOCK_FILE, BEGIN_FILE)):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def read_words(text: bytes | None) -> dict[str, Any] | None:
    """The words that a job was begun in; None where it was not, or they cannot be read."""
    try:
        found = json.loads(text or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(identity, sort_keys=True))
    return plain


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    sync_to_disk(part)
    os.replace(part, path)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two identities, as `size was 101 and is 64`, at most three things."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    said = [f"{name} was {old.get(name, 'not given')} and is {new.get(name, 'not given')}" for name in changed[:3]]
    return "; ".join(said) + (f" (and {len(changed) - 3} more)" if len(changed) > 3 else "")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, key if name in ("", "parameters") else f"{name} {key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            label = inner.get("role", str(i)) if isinstance(inner, Mapping) else str(i)
            yield from _leaves(inner, f"{name} {label}".replace("inputs ", ""))
    else:
        yield name, value
