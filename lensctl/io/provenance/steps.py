"""Provenance of an output: the step that made it, preceded by the steps of its inputs."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl import __version__
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"lensctl.provenance"


@dataclass(frozen=True)
class Input:
    """One input of a step: its role, name (never its folder), digest, and the step that made it."""

    role: str
    name: str
    digest: str
    step: str | None = None


@dataclass(frozen=True)
class Step:
    """One run of a command. No clock, host or absolute path: the same run anywhere is the same step."""

    command: str
    parameters: Mapping[str, Any]
    inputs: tuple[Input, ...] = ()
    version: str = __version__

    def as_dict(self) -> dict[str, Any]:
        """The step as plain JSON values, without its id."""
        return {
            "command": self.command,
            "version": self.version,
            "parameters": dict(self.parameters),
            "inputs": [vars(source) for source in self.inputs],
        }

    @functools.cached_property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the step as canonical JSON."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def input(self, role: str) -> Input | None:
        """The input with a role, or None."""
        return next((source for source in self.inputs if source.role == role), None)


Chain = tuple[Step, ...]
"""Steps, parents before children; the last one made the output."""


def step_input(role: str, path: str | Path, digest: str, chain: Chain = ()) -> Input:
    """An input for a step's record: base name of its path, digest, and the step that made it."""
    name = "-" if str(path) == "-" else str(path).rstrip("/").rsplit("/", 1)[-1]
    return Input(role, name, digest, chain[-1].id if chain else None)


def extend(step: Step, *parents: Chain) -> Chain:
    """The chain of a new output: the distinct steps of its inputs, in order, then its own."""
    steps = {ancestor.id: ancestor for chain in parents for ancestor in chain}
    return (*steps.values(), step)


def to_list(chain: Chain) -> list[dict[str, Any]]:
    """A chain as plain JSON values."""
    return [{"id": step.id, **step.as_dict()} for step in chain]


def to_json(chain: Chain) -> str:
    """A chain as one line of JSON."""
    return json.dumps(to_list(chain), sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_list(values: Any, where: str) -> Chain:
    """A chain from plain JSON values; InputError if they are not one, or an id does not match its step."""
    try:
        steps = tuple(
            Step(v["command"], v["parameters"], tuple(Input(**s) for s in v["inputs"]), v["version"]) for v in values
        )
        ids = [v["id"] for v in values]
    except (KeyError, TypeError) as error:
        raise InputError(f"{where}: provenance cannot be read", "make the file again with lensctl") from error
    for step, id in zip(steps, ids, strict=True):
        if step.id != id:
            raise InputError(f"{where}: provenance of step '{step.command}' was altered", "make the file again")
    return steps


def from_json(text: str | bytes, where: str) -> Chain:
    """A chain from its JSON text."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: provenance is not JSON", "make the file again with lensctl") from error
    return from_list(values, where)


def stamp(table: pa.Table, chain: Chain) -> pa.Table:
    """The table with a chain in its schema metadata; other metadata is kept, except other tools' type information."""
    kept = {k: v for k, v in (table.schema.metadata or {}).items() if k not in (KEY, b"pandas", b"ARROW:schema")}
    return table.replace_schema_metadata({**kept, KEY: to_json(chain).encode()})


def chain_of(table: pa.Table | pa.Schema, where: str = "table") -> Chain:
    """The chain stored in a table; empty if it was not made by lensctl."""
    schema = table.schema if hasattr(table, "schema") else table
    text = (schema.metadata or {}).get(KEY)
    return from_json(text, where) if text else ()
