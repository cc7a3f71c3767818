"""One or several gates on their inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lensctl.gates import registry
from lensctl.gates.inputs import Inputs
from lensctl.gates.registry import Gate
from lensctl.io.paths import Paths, listed
from lensctl.io.reporter import Receipt
from lensctl.io.storage.atomic import refuse_existing, whole_file
from lensctl.rules.checks import Check
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey


def gate(
    name: str,
    inputs: Paths | Inputs,
    *,
    set: Sequence[str] = (),
    level: str | None = None,
    crop: int | None = None,
    root: str | Path | None = None,
    survey: Survey | str | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    each: Callable[[Check], None] = lambda check: None,
) -> Receipt:
    """Run one gate, or several separated by commas.

    Parameters
    ----------
    name : str
        A name of `registry.names`, or several.
    inputs : path or paths
        What the gates check; `-` is stdin. With `Inputs`, root and survey are its own.
    set : sequence of str
        Limits, as GATE.KEY=VALUE.
    level, crop
        Settings of the gates that have them.
    root : path, optional
        Folder that a manifest's `cutout_path` is relative to.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the inputs name none.
    output : path, optional
        File for the checks as JSON lines, as `freeze` takes them; with overwrite, in place of one that exists.
    each : callable
        Called with each check as it is made.

    Returns
    -------
    Receipt
        With `passed`, and the checks as JSON values.

    Raises
    ------
    InputError
        Unknown gates or settings, inputs that cannot be read or are of two surveys, an output that exists.
    """
    if not isinstance(inputs, Inputs):
        inputs = Inputs(listed(inputs), None if root is None else Path(root), survey)
    if not inputs.paths:
        raise InputError("no input given", "see `lensctl gate list` for what each gate takes")
    if output is not None:
        refuse_existing(output, overwrite)
    gates = [registry.find(part) for part in dict.fromkeys(part.strip() for part in name.split(","))]
    given = [*set, *_option_settings(gates, level=level, crop=crop)]
    settings = registry.settings_for(gates, given, inputs.survey)
    checks = []
    for one in gates:
        for check in registry.run(one, inputs, settings[one.name]):
            each(check)
            checks.append(check)
    passed = bool(checks) and all(check.passed for check in checks)
    if output is not None:
        with whole_file(output, overwrite) as part:
            part.write_text("".join(f"{check.as_json()}\n" for check in checks), encoding="utf-8")
    shown = [check.as_dict() for check in checks]
    return {
        "command": "gate",
        "output": None if output is None else str(output),
        "gates": [one.name for one in gates],
        "passed": passed,
        "checks": shown,
    }


def _option_settings(gates: Sequence[Gate], **given: Any) -> list[str]:
    """Options as settings of the gates that have them; InputError if none of the gates does."""
    found = []
    for key, value in given.items():
        if value is None:
            continue
        users = [gate.name for gate in gates if key in gate.fields()]
        if not users:
            raise InputError(f"--{key} does not apply to {', '.join(gate.name for gate in gates)}", "leave it out")
        found += [f"{name}.{key}={value}" for name in users]
    return found
