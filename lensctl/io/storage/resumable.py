"""Resumable jobs: a locked working folder beside the output, which records the job's parameters."""

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
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError

JOB_FILE, LOCK_FILE, BEGIN_FILE, BUILT = "job.json", "lock", "begin", "whole"


@dataclass(frozen=True)
class Job:
    """An output being made: `folder` is its working folder, `built` becomes `path` when complete."""

    path: Path
    folder: Path
    built: Path
    resumed: bool

    def finish(self, output: Path | None = None, *, flushed: bool = False) -> None:
        """Flush the output (`built`, or a file made from it) to disk and move it into place, replacing `path`."""
        move_into_place(output or self.built, self.path, flushed=flushed)
        self.abandon()

    def abandon(self) -> None:
        """Discard the job: the working folder is removed when the job's block ends."""
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
    """Start a job, or resume one started with the same parameters.

    The working folder is `.NAME.part` beside `path`; it is kept if the job is killed or fails, and removed once it has
    finished.

    Parameters
    ----------
    path : path
        The file or folder to make, on local disk.
    identity : mapping of JSON values
        What determines the result: command, parameters, digests of the inputs.
    overwrite : bool
        Replace an existing `path` when the job finishes; discard a job started with other parameters.
    afresh : bool
        Discard what an earlier run had done.
    part : str, optional
        Name of the part this process makes, while others make other parts with the same parameters.

    Raises
    ------
    InputError
        `path` exists, another process is using it, or it was started with another identity.
    """
    if is_s3(path):
        raise InputError(f"{path}: this output is made on local disk", "write it locally, then `lensctl sync` it")
    refuse_pipe(path)
    path = Path(path)
    refuse_existing(path, overwrite)
    folder = part_of(path)
    with held(folder, path, part):
        with _exclusive(folder / BEGIN_FILE):
            resumed = _begin(folder, path, _plain(identity), overwrite=overwrite, afresh=afresh)
        yield Job(path, folder, folder / BUILT, resumed)


def _begin(folder: Path, path: Path, parameters: dict[str, Any], *, overwrite: bool, afresh: bool) -> bool:
    """Prepare the working folder; returns whether an earlier run is resumed."""
    note = folder / JOB_FILE
    if afresh:
        _empty(folder)
    earlier = read_parameters(note.read_bytes() if note.exists() else None)
    if earlier is not None and earlier != parameters:
        if not overwrite:
            raise other_parameters_error(
                path, earlier, parameters, f"remove {folder.name} (or --overwrite) to start over"
            )
        _empty(folder)
        earlier = None
    if earlier is not None and (folder / BUILT).is_dir():
        return True
    _empty(folder)
    (folder / BUILT).mkdir()
    _write_json(note, parameters)
    return False


def other_parameters_error(
    path: str | Path, earlier: Mapping[str, Any], parameters: Mapping[str, Any], fix: str
) -> InputError:
    """The error for an output started with other parameters or inputs."""
    return InputError(
        f"{path} was started by another run: {difference(earlier, parameters)}",
        f"rerun that command to resume, or {fix}",
    )


def workplace(url: str) -> Path:
    """Local working folder of an output on S3, determined by its URL.

    It is in `lensctl/` in the user's cache folder ($XDG_CACHE_HOME, or ~/.cache), and holds one copy of the output.
    """
    name = url.rstrip("/").rsplit("/", 1)[-1]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lensctl"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{cache}: cannot create the folder to build {url} in ({error.strerror})", "set XDG_CACHE_HOME"
        ) from error
    return cache / f"{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:16]}-{name}"


@contextmanager
def held(folder: Path, path: str | Path, part: str | None = None) -> Iterator[None]:
    """Hold a folder's lock, which is released however the process ends; processes making parts share it.

    The folder is created, and removed at the end unless it holds a job.

    Raises InputError if another process holds it, or makes the same part.
    """
    while True:
        folder.mkdir(exist_ok=True)
        with (folder / LOCK_FILE).open("w") as lock:
            try:
                fcntl.flock(lock, (fcntl.LOCK_SH if part else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"{path} is being made by another process", "wait for it to end, or stop it"
                ) from error
            if not _is_same_file(lock.fileno(), folder / LOCK_FILE):
                continue  # its owner removed it between open and lock
            with ExitStack() as locks:
                if part:
                    part_lock = locks.enter_context((folder / f"{LOCK_FILE}-{part}").open("w"))
                    try:
                        fcntl.flock(part_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError as error:
                        raise InputError(
                            f"part {part} of {path} is being made by another process", "wait for it to end, or stop it"
                        ) from error
                try:
                    yield
                finally:
                    if not part and not (folder / JOB_FILE).exists():
                        shutil.rmtree(folder)
            return


@contextmanager
def _exclusive(file: Path) -> Iterator[None]:
    """Exclude other processes that are starting just now."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_same_file(handle: int, path: Path) -> bool:
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


def read_parameters(text: bytes | None) -> dict[str, Any] | None:
    """Parameters a job was started with; None if it was not, or they are unreadable."""
    try:
        found = json_value(text or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json_value(json.dumps(identity, sort_keys=True))
    return plain


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    sync_to_disk(part)
    os.replace(part, path)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two identities, as `size was 101 and is 64`, at most three."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    listed = [f"{name} was {old.get(name, 'not given')} and is {new.get(name, 'not given')}" for name in changed[:3]]
    return "; ".join(listed) + (f" (and {len(changed) - 3} more)" if len(changed) > 3 else "")


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
