"""One step's work: a lensctl command line, the wheel that must run it, and the URL of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.paths import format_of
from lensctl.rules.errors import InputError, without_secrets

READS = {"pool": ("sweeps", "lenses"), "sample": ("pool", "positives", "lenses"), "cutout": ("table", "root")}
WRITES = {"pool": ("output",), "sample": ("output", "strata"), "cutout": ("store",)}
"""Input and output parameters of each command that runs on a cluster."""

_NOT_THERE = {
    "dry_run": "a dry run needs no cluster",
    "part": "--engine spark makes all parts at once",
    "finish": "--engine spark finishes the store itself",
    "hard": "hard negatives are drawn on one machine",
    "npz": "a cluster writes only the store; `lensctl export` makes .npz files from it",
}


@dataclass(frozen=True)
class CommandLine:
    """A lensctl command line for a cluster: its words, its config file, and the inputs and outputs it names."""

    words: tuple[str, ...]
    config: Path | None
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    def __post_init__(self) -> None:
        if any(without_secrets(word) != word for word in self.words):
            raise InputError(
                "an address in the command holds a password, token or signature, and who may list the steps of a "
                "cluster sees their arguments",
                "give this address in the file of --config",
            )


@dataclass(frozen=True)
class Work:
    """The definition of a step: all that `step` needs to run it, and `wait` to verify it."""

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
    """Parse a step's arguments; InputError if it is not a lensctl step."""
    line = list(arguments)
    start = next((n for n in range(len(line)) if line[n : n + 2] == ["emr", "step"]), len(line))
    rest = line[start + 2 :]
    options: dict[str, list[str]] = {}
    while len(rest) > 1 and rest[0].startswith("--"):
        options.setdefault(rest[0], []).append(rest[1])
        rest = rest[2:]
    try:
        (wheel,), (record,), (hours,) = options["--wheel"], options["--record"], options["--hours"]
        outputs, config = tuple(options["--writes"]), options.get("--command-config", [None])[0]
    except (KeyError, ValueError) as error:
        raise InputError(
            "this step was not made by `lensctl emr submit`", "name another step: see `lensctl emr status`"
        ) from error
    return Work(wheel, record, float(hours), outputs, tuple(rest), config)


def paths(name: str, values: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Inputs and outputs of a command line, from its parsed values.

    Raises InputError if the cluster cannot see one of them, or if an output could not be verified.
    """
    for option, why in _NOT_THERE.items():
        if values.get(option):
            raise InputError(f"--{option.replace('_', '-')} is not for a cluster: {why}", "omit it")
    reads, writes = _named(name, values, READS), _named(name, values, WRITES)
    for path in (*reads, *writes):
        if not (is_s3(path) or (path == values.get("root") and path.startswith(("http://", "https://")))):
            raise InputError(
                f"{path} is on this machine, not visible to the cluster", "copy it to S3 with `lensctl sync`"
            )
    for path in writes if name != "cutout" else ():
        if format_of(path, values.get("format")) != "parquet":
            raise InputError(f"{path}: only parquet carries provenance", "name a parquet file or folder")
    if values.get("source") == "coadd" and not values.get("root"):
        raise InputError("no root for the coadds is given", "add --root s3://…, the folder that holds coadd/")
    return reads, writes


def _named(name: str, values: Mapping[str, Any], by: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    given = [values.get(parameter) for parameter in by[name]]
    listed = [each for value in given for each in (value if isinstance(value, list | tuple) else [value])]
    return tuple(str(path) for path in listed if path)
