"""Outputs made in a working folder beside them: resumable jobs, and folders made at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensctl.io.storage import working_folders
from lensctl.io.storage.atomic import part_of, refuse_existing, refuse_pipe
from lensctl.io.storage.working_folders import BUILT, FAILED_FILE, JOB_FILE, held, read_parameters
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, LensctlError, Unfinished

__all__ = ["JOB_FILE", "Job", "job", "read_parameters", "whole_folder", "workplace"]
ONCE = "at_once"
"""In the note of a folder that is made at once: nothing of it can be resumed."""


@dataclass(frozen=True)
class Job:
    """An output being made: `folder` is its working folder, `built` becomes `path` when complete."""

    path: Path
    folder: Path
    built: Path
    resumed: bool
    overwrite: bool = False

    def finish(self, output: Path | None = None, *, flushed: bool = False) -> None:
        """Flush the output (`built`, or a file made from it) to disk and move it into place, replacing `path` only
        with `overwrite`."""
        working_folders.move_into_place(
            output or self.built, self.path, self.folder, overwrite=self.overwrite, flushed=flushed
        )
        self.abandon()

    def abandon(self) -> None:
        """Discard the job: what is left of the working folder is removed when the job's block ends."""
        working_folders.restore(self.folder, self.path)
        working_folders.empty(self.folder)
        (self.folder / JOB_FILE).unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path, command: str, overwrite: bool = False) -> Iterator[Path]:
    """Write a folder that appears only when complete; on any failure `path` is as it was.

    Like `whole_file`, but on local disk only, and one run at a time; `command` names it to others. What a killed run
    left is discarded.
    """
    with job(path, {"command": command, ONCE: True}, overwrite=overwrite) as made:
        try:
            yield made.built
            made.finish()
        except BaseException:
            made.abandon()
            raise


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
    finished. One that failed by its input does not stand in the way of a job with other parameters.

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
    if Path(path).parts[:1] in (("s3:",), ("s3a:",)):  # a Path has one slash of an address
        raise InputError(f"{path}: this output is made on local disk", "write it locally, then `lensctl sync` it")
    refuse_pipe(path)
    path = Path(path)
    refuse_existing(path, overwrite)
    folder = part_of(path)
    with held(folder, path, part):
        with working_folders.exclusive(folder):
            resumed = _begin(folder, path, plain(identity), overwrite=overwrite, afresh=afresh)
        try:
            yield Job(path, folder, folder / BUILT, resumed, overwrite)
        except Exception as error:
            if not part and is_final(error) and working_folders.read_note(folder):
                (folder / FAILED_FILE).touch()
            raise


def is_final(error: Exception) -> bool:
    """Whether a job that ended with this error fails again unless its input is mended: other inputs may replace it."""
    if isinstance(error, LensctlError):
        return isinstance(error, InputError) and not isinstance(error, Unfinished)
    return not isinstance(error, OSError)


def _begin(folder: Path, path: Path, parameters: dict[str, Any], *, overwrite: bool, afresh: bool) -> bool:
    """Prepare the working folder; returns whether an earlier run is resumed."""
    working_folders.restore(folder, path)
    refuse_existing(path, overwrite)
    earlier = working_folders.read_note(folder)
    failed = (folder / FAILED_FILE).exists()
    (folder / FAILED_FILE).unlink(missing_ok=True)
    if earlier is None or ONCE in earlier or not (folder / BUILT).is_dir() or (folder / BUILT).is_symlink():
        afresh = True  # nothing that could be resumed
    elif earlier != parameters:
        afresh = afresh or overwrite or failed
        if not afresh:
            raise other_parameters_error(
                path, earlier, parameters, f"remove {folder.name} (or --overwrite) to start over"
            )
    if not afresh:
        return True
    working_folders.empty(folder)
    working_folders.write_note(folder, parameters)
    (folder / BUILT).mkdir()
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
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lensctl"
    except RuntimeError as error:
        raise InputError(f"there is no home folder to build {url} in", "set XDG_CACHE_HOME to a folder") from error
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{cache}: cannot create the folder to build {url} in ({error.strerror})", "set XDG_CACHE_HOME"
        ) from error
    return cache / f"{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:16]}-{name}"


def plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity as JSON reads it back."""
    read: dict[str, Any] = json_value(json.dumps(identity, sort_keys=True))
    return read


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
