"""Registry of gates, their settings, and how to run them.

A gate is a function, decorated with `@gate`, that takes inputs and settings and yields checks. Built-in gates are
modules of this package with the gate's name. Plug-ins declare an entry point in the group `lensctl.gates` with the
gate's name, pointing to a module (or an object in it) with a decorated function:

    [project.entry-points."lensctl.gates"]
    bright_stars = "our_package.checks"

A plug-in is imported only when one of its gates is used.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from lensctl.rules.checks import Check
from lensctl.rules.config import nearest
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    from lensctl.gates.inputs import Inputs

BUILT_IN = (
    "pool", "splits", "overlap", "pixels", "homogeneity", "weights", "shortcut", "trained", "injection", "realism",
    "selection",
)  # fmt: skip
GROUP = "lensctl.gates"
LIST = "list"  # reserved: lists the gates
IMPORT_ERRORS = (AttributeError, ImportError, NameError, SyntaxError, TypeError, ValueError)

T = TypeVar("T")
Judge = Callable[["Inputs", Any], Iterator[Check]]


@dataclass(frozen=True)
class NoSettings:
    """Settings of a gate without settings."""


@dataclass(frozen=True)
class Gate:
    """A gate: its name, its inputs, its settings with defaults, and its function."""

    name: str
    inputs: str
    settings: type[Any]
    judge: Judge

    @property
    def meaning(self) -> str:
        """First line of the function's docstring."""
        return (self.judge.__doc__ or "").strip().split("\n")[0]

    @property
    def text(self) -> str:
        """All of the function's docstring: what the gate judges, and how."""
        return inspect.cleandoc(self.judge.__doc__ or "")

    def fields(self) -> Mapping[str, dataclasses.Field[Any]]:
        """Settings by name."""
        return {field.name: field for field in dataclasses.fields(self.settings)}


_GATES: dict[str, Gate] = {}


def setting(
    default: T,
    meaning: str,
    choices: Sequence[str] = (),
    least: float = -math.inf,
    of: Callable[[Survey], T] | None = None,
    formerly: str = "",
) -> T:
    """Declare a setting in a gate's dataclass: default, meaning, allowed values and minimum.

    With `of`, the default of a survey is what this says of it; `default` is that of ls-dr10. `formerly` is a name that
    the setting had before, and is still accepted under.
    """
    metadata = {"meaning": meaning, "choices": tuple(choices), "least": least, "of": of, "formerly": formerly}
    field: T = dataclasses.field(default=default, metadata=metadata)
    return field


def split_share(name: str) -> tuple[float, float]:
    """Declare the setting of a split's share of the rows: the survey's limits."""
    return setting(
        LS_DR10.share_limits[name],
        f"minimum and maximum fraction of {name}",
        of=lambda survey: survey.share_limits[name],
    )


def gate(name: str, *, inputs: str = "MANIFEST", settings: type[Any] = NoSettings) -> Callable[[Judge], Judge]:
    """Register a function as the gate `name`.

    Parameters
    ----------
    name : str
        Name on the command line: letters, digits, dashes and underscores.
    inputs : str
        Its inputs, for the help.
    settings : dataclass
        Its limits, each declared with `setting`; an instance is the function's second argument.

    Raises
    ------
    InputError
        An invalid name, or one used by a gate of another module.
    """
    if name == LIST or not name.replace("-", "").replace("_", "").isalnum():
        raise InputError(f"'{name}' is not a valid gate name", "use letters, digits, dashes and underscores")

    def register(judge: Judge) -> Judge:
        existing = _GATES.get(name)
        if existing is not None and existing.judge.__module__ != judge.__module__:
            owners = f"one in {existing.judge.__module__} and one in {judge.__module__}"
            raise InputError(f"two gates are named '{name}', {owners}", "rename one of them")
        _GATES[name] = Gate(name, inputs, settings, judge)
        return judge

    return register


def names() -> list[str]:
    """All gates: built-in ones in pipeline order, then plug-ins."""
    others = {point.name for point in entry_points(group=GROUP)} | set(_GATES)
    return [*BUILT_IN, *sorted(others - set(BUILT_IN))]


def find(name: str) -> Gate:
    """The gate with this name.

    Raises
    ------
    InputError
        There is none (the message suggests the nearest name), there are two, or its package cannot be imported.
    """
    points = list(entry_points(group=GROUP, name=name))
    owners = [*(["lensctl"] if name in BUILT_IN else []), *map(_package, points)]
    if len(owners) > 1:
        raise InputError(
            f"{len(owners)} gates are named '{name}': of {' and '.join(owners)}", "rename or remove the plug-in gate"
        )
    if name in BUILT_IN:
        importlib.import_module(f"lensctl.gates.{name}")
    elif points:
        _load(points[0])
    if name not in _GATES:
        known = names()
        raise InputError(f"no gate '{name}'{nearest(name, known)}", f"the gates are {', '.join(known)}")
    return _GATES[name]


def _load(point: EntryPoint) -> None:
    """Import an entry point, which registers the gate."""
    where = f"gate '{point.name}' of package {_package(point)}"
    try:
        point.load()
    except IMPORT_ERRORS as error:
        reason = str(error).strip() or type(error).__name__
        raise InputError(f"{where} cannot be loaded ({reason})", "fix or remove that package") from error
    if point.name not in _GATES:
        raise InputError(
            f"{where} is missing: {point.value} defines no gate of that name",
            f'decorate a function in it with @gate("{point.name}")',
        )


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def settings_for(gates: Sequence[Gate], given: Iterable[str], survey: Survey = LS_DR10) -> dict[str, Any]:
    """Settings of each gate: the survey's defaults, overridden by `gate.key=value` from `given`; the last wins.

    Settings of gates that are not run are also validated, so one list can serve several calls.

    Raises
    ------
    InputError
        Unknown gate or key (the message suggests the nearest), or an invalid value.
    """
    changed: dict[str, dict[str, Any]] = {}
    for text in given:
        path, equals, value = text.partition("=")
        name, dot, key = path.strip().partition(".")
        if not (equals and dot and key):
            raise InputError(f"setting '{text}' is not gate.key=value", "for example splits.train=0.6,0.8")
        fields = find(name).fields()
        former = {old: now for now, field in fields.items() if (old := field.metadata.get("formerly"))}
        key = former.get(key, key)
        if key not in fields:
            shown = ", ".join(fields) or "it has none"
            known = [*fields, *former]
            raise InputError(f"gate {name} has no setting '{key}'{nearest(key, known)}", f"its settings: {shown}")
        changed.setdefault(name, {})[key] = _parse(path, value.strip(), fields[key])
    return {gate.name: gate.settings(**{**_defaults(gate, survey), **changed.get(gate.name, {})}) for gate in gates}


def _defaults(gate: Gate, survey: Survey) -> dict[str, Any]:
    """Defaults that differ from survey to survey."""
    by_survey = {name: field.metadata.get("of") for name, field in gate.fields().items()}
    return {name: of(survey) for name, of in by_survey.items() if of is not None}


def _parse(name: str, text: str, field: dataclasses.Field[Any]) -> Any:
    """A setting's text converted to the type of its default."""
    default, choices = field.default, field.metadata.get("choices")
    least = field.metadata.get("least", -math.inf)
    try:
        if choices:
            if text not in choices:
                raise ValueError
            return text
        if isinstance(default, bool):
            return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]
        if isinstance(default, tuple):
            parts = tuple(_number_like(default[0], part.strip()) for part in text.strip("[]()").split(","))
            if isinstance(default[0], float) and not (len(parts) == len(default) and parts[0] <= parts[-1]):
                raise ValueError
            return parts
        value = _number_like(default, text)
        if not isinstance(value, str) and not value >= least:
            raise ValueError
        return value
    except (ValueError, KeyError) as error:
        shown = f"one of {', '.join(choices)}" if choices else f"{least:g} or more" if least > -math.inf else ""
        shown = shown or f"like {show(default)}"
        raise InputError(f"setting {name} is '{text}'", f"give {shown}: {meaning_of(field)}") from error


def meaning_of(field: dataclasses.Field[Any]) -> str:
    """The meaning of a setting; empty if its gate gives none."""
    return str(field.metadata.get("meaning", ""))


def _number_like(default: Any, text: str) -> Any:
    if isinstance(default, float):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError
        return value
    return int(text) if isinstance(default, int) else text


def show(value: Any) -> str:
    """A setting's value as typed on the command line; NaN means that the level decides."""
    if isinstance(value, float) and math.isnan(value):
        return "the level's"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def run(gate: Gate, inputs: Inputs, settings: Any) -> Iterator[Check]:
    """Run one gate: its checks with its name and input digest, or one failed check if it yields none."""
    inputs.set_digest(None)  # reset what the previous gate set
    any_check = False
    for check in gate.judge(inputs, settings):
        any_check = True
        yield dataclasses.replace(check, gate=gate.name, input_digest=inputs.digest)
    if not any_check:
        yield Check(gate.name, "checks made", False, 0, limit=">= 1", input_digest=inputs.digest)
