"""One step's work: a lensctl command line, the wheel that must run it, and where it leaves its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.paths import format_of
from lensctl.rules.errors import InputError

READS = {"pool": ("sweeps", "lenses"), "sample": ("pool", "positives", "lenses"), "cutout": ("table", "root")}
WRITES = {"pool": ("output",), "sample": ("output", "strata"), "cutout": ("store",)}
"""Parameters of each command that runs on a cluster: what it reads there, what it leaves there."""

_NOT_THERE = {
    "dry_run": "a dry run needs no cluster",
    "part": "--engine spark makes all parts at once",
    "finish": "--engine spark finishes the store itself",
    "npz": "a cluster writes the store alone; `lensctl export` makes .npz of it",
}


@dataclass(frozen=True)
class Work:
    """What a step is told: everything that `step` needs to do it, and `wait` to prove it."""

    wheel: str
    record: str
    hours: float
    outputs: tuple[str, ...]
    command: tuple[str, ...]
    config: str | None = None

    def arguments(self) -> list[str]:
        """The arguments of `lensctl emr step`."""
        named = [("--wheel", self.wheel), ("--record", self.record), ("--hours", f"{self.hours:g}")]
        named += [("--writes", output) for output in self.outputs]
        named += [("--command-config", self.config)] if self.config else []
        return ["emr", "step", *(text for pair in named for text in pair), *self.command]


def from_arguments(arguments: Sequence[str]) -> Work:
    """The work that a step's arguments name; InputError where it is not a step of lensctl."""
    words = list(arguments)
    start = next((n for n in range(len(words)) if words[n : n + 2] == ["emr", "step"]), len(words))
    rest = words[start + 2 :]
    given: dict[str, list[str]] = {}
    while len(rest) > 1 and rest[0].startswith("--"):
        given.setdefault(rest[0], []).append(rest[1])
        rest = rest[2:]
    try:
        (wheel,), (record,), (hours,) = given["--wheel"], given["--record"], given["--hours"]
        outputs, config = tuple(given["--writes"]), given.get("--command-config", [None])[0]
    except (KeyError, ValueError) as error:
        raise InputError(
            "this step was not made by `lensctl emr submit`", "name one that was: see `lensctl emr status`"
        ) from error
    return Work(wheel, record, float(hours), outputs, tuple(rest), config)


def paths(name: str, values: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Inputs and outputs of a command line by its parsed values.

    Raises InputError where a cluster cannot see one of them, or could not prove that it made it.
    """
    for option, why in _NOT_THERE.items():
        if values.get(option):
            raise InputError(f"--{option.replace('_', '-')} is not for a cluster: {why}", "leave it out")
    reads, writes = _named(name, values, READS), _named(name, values, WRITES)
    for path in (*reads, *writes):
        if not (is_s3(path) or (path == values.get("root") and path.startswith(("http://", "https://")))):
            raise InputError(f"{path} is on this machine, unseen by the cluster", "put it on S3: `lensctl sync`")
    for path in writes if name != "cutout" else ():
        if format_of(path, values.get("format")) != "parquet":
            raise InputError(f"{path}: only parquet carries its provenance", "name a parquet file or folder")
    if values.get("source") == "coadd" and not values.get("root"):
        raise InputError("coadds are where?", "add --root s3://…, what holds coadd/")
    return reads, writes


def _named(name: str, values: Mapping[str, Any], by: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    given = [values.get(parameter) for parameter in by[name]]
    listed = [each for value in given for each in (value if isinstance(value, list | tuple) else [value])]
    return tuple(str(path) for path in listed if path)
