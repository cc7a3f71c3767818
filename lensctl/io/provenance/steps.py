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
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, without_secrets
from lensctl.rules.survey import LS_DR10, Survey
from lensctl.rules.survey_file import named_survey, survey_of_text, text_of_survey

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"lensctl.provenance"
SURVEY_KEY = b"lensctl.survey"


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
    survey: Survey = LS_DR10

    def as_dict(self) -> dict[str, Any]:
        """The step as plain JSON values, without its id; without a survey it is of ls-dr10, as in version 0.1.0."""
        return {
            "command": self.command,
            "version": self.version,
            "parameters": dict(self.parameters),
            "inputs": [vars(source) for source in self.inputs],
            **({} if self.survey == LS_DR10 else {"survey": text_of_survey(self.survey)}),
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
    name = "-" if str(path) == "-" else without_secrets(str(path)).rstrip("/").rsplit("/", 1)[-1]
    return Input(role, name, digest, chain[-1].id if chain else None)


def extend(step: Step, *parents: Chain) -> Chain:
    """The chain of a new output: the distinct steps of its inputs, in order, then its own.

    Raises InputError if an input is of another survey than the step.
    """
    common_survey(step.survey, *parents)
    steps = {ancestor.id: ancestor for chain in parents for ancestor in chain}
    return (*steps.values(), step)


def last_step(chain: Chain, *commands: str) -> Step | None:
    """The last step of one of these commands; None if there is none."""
    return next((step for step in reversed(chain) if step.command in commands), None)


def is_mock(chain: Chain) -> bool:
    """Whether a mock survey is behind an output: a step that made one, or an input with a name that says so."""
    return any(step.command == "sky" or any("mock" in source.name.lower() for source in step.inputs) for step in chain)


def survey_of(chain: Chain) -> Survey:
    """The survey of an output; ls-dr10 if it names none."""
    return chain[-1].survey if chain else LS_DR10


def common_survey(given: Survey | str | None, *chains: Chain) -> Survey:
    """The one survey of a command's inputs.

    Parameters
    ----------
    given : Survey or str, optional
        What `--survey` says of inputs that name none: a survey, its name, or a YAML file; default ls-dr10.
    chains : Chain
        Provenance of the inputs.

    Raises
    ------
    InputError
        Two inputs are of different surveys, or one is of another than the one given.
    """
    wanted = named_survey(given) if isinstance(given, str) else given
    for chain in chains:
        for step in chain:
            wanted = wanted or step.survey
            if step.survey != wanted:
                versions = " (the same name, but other values)" if step.survey.name == wanted.name else ""
                source = f"an input made by '{step.command}' is of survey {step.survey.name}"
                raise InputError(
                    f"{source}, not of {wanted.name}{versions}", "a command works on one survey: name inputs of one"
                )
    return wanted or LS_DR10


def is_alike(chain: Chain, begun: Step) -> bool:
    """Whether an existing output was made by the same command, judged without reading its first input's files."""

    def comparable(step: Step) -> str:
        fields = step.as_dict()
        fields["inputs"] = [(i.role, i.name) for i in step.inputs[:1]], [vars(i) for i in step.inputs[1:]]
        return json.dumps(fields, sort_keys=True)

    return bool(chain) and comparable(chain[-1]) == comparable(begun)


def to_list(chain: Chain) -> list[dict[str, Any]]:
    """A chain as plain JSON values; a survey that is not built in is described in its first step, and named after."""
    listed, described = [], set[str]()
    for step in chain:
        values = {"id": step.id, **step.as_dict()}
        if step.survey.name in described and "survey" in values:
            values["survey"] = step.survey.name
        described.add(step.survey.name)
        listed.append(values)
    return listed


def to_json(chain: Chain) -> str:
    """A chain as one line of JSON."""
    return json.dumps(to_list(chain), sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_list(values: Any, where: str) -> Chain:
    """A chain from plain JSON values; InputError if they are not one, or an id does not match its step."""
    described: dict[str, Survey] = {}
    steps = []
    try:
        for v in values:
            text = v.get("survey", LS_DR10.name)
            survey = described[text] if text in described else survey_of_text(text, where)
            described[survey.name] = survey
            steps.append(
                Step(v["command"], v["parameters"], tuple(Input(**s) for s in v["inputs"]), v["version"], survey)
            )
        ids = [(step.id, v["id"]) for step, v in zip(steps, values, strict=True)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: provenance cannot be read", "make the file again with lensctl") from error
    for step, (own, id) in zip(steps, ids, strict=True):
        if own != id:
            raise InputError(f"{where}: provenance of step '{step.command}' was altered", "make the file again")
    return tuple(steps)


def from_json(text: str | bytes, where: str) -> Chain:
    """A chain from its JSON text."""
    try:
        values = json_value(text)
    except ValueError as error:
        raise InputError(f"{where}: provenance is not JSON", "make the file again with lensctl") from error
    return from_list(values, where)


def stamp(table: pa.Table, chain: Chain) -> pa.Table:
    """The table with chain and survey in its metadata; other metadata is kept, but for other tools' column types."""
    ours = (KEY, SURVEY_KEY, b"pandas", b"ARROW:schema")
    kept = {k: v for k, v in (table.schema.metadata or {}).items() if k not in ours}
    return table.replace_schema_metadata({**kept, **metadata_of(chain)})


def metadata_of(chain: Chain) -> dict[bytes, bytes]:
    """What a table's metadata says of its provenance and survey."""
    return {KEY: to_json(chain).encode(), SURVEY_KEY: survey_of(chain).name.encode()}


def chain_of(table: pa.Table | pa.Schema, where: str = "table") -> Chain:
    """The chain stored in a table; empty if it was not made by lensctl."""
    schema = table.schema if hasattr(table, "schema") else table
    text = (schema.metadata or {}).get(KEY)
    return from_json(text, where) if text else ()
