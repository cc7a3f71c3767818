"""`lensctl gate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import gate_report, report
from lensctl.cli.command import LOOK, command
from lensctl.cli.help import HelpCommand, page
from lensctl.cli.options import Overwrite, Root, Survey

if TYPE_CHECKING:
    from lensctl.gates.registry import Gate
    from lensctl.rules.checks import Check
    from lensctl.rules.survey import Survey as SurveyValue

FAILED = 1
NAMED = "lensctl.gates named before --help"
OF_SOME = ("level", "crop")
"""Options that only some gates have."""
OF_SURVEY = "Limits that follow from the survey are those of the survey that the input names; those below are of {}."
FILES = {
    "POOL": "pool.parquet",
    "MANIFEST": "manifest.parquet",
    "STORE": "injected.zarr",
    "EVALUATION_DIR": "evaluation",
    "SELECTION_DIR": "selection",
}
"""What inputs are called in examples."""


def _merged(context: typer.Context, given: list[str]) -> list[str]:
    """Settings from the config file, then from the command line: the last value of a key wins."""
    return [*(context.default_map or {}).get("set", []), *given]


class GateHelp(HelpCommand):
    """Help on all gates in brief, or on those that are named before --help at length."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """Remember what is named, because help is given before arguments are read."""
        context.meta[NAMED] = args[0] if args and not args[0].startswith("-") else ""
        return super().parse_args(context, args)

    def get_help(self, context: Any) -> str:
        """The help text."""
        from lensctl.gates import registry
        from lensctl.rules.survey import LS_DR10

        named = context.meta[NAMED]
        if not named or named == registry.LIST:
            return page(self, context, self.help or "", {"Gates": list(_in_brief())})
        gates = [registry.find(part) for part in dict.fromkeys(part.strip() for part in named.split(","))]
        left_out = {key for key in OF_SOME if not any(key in gate.fields() for gate in gates)} | {"name", "inputs"}
        limits = [row for gate in gates for row in _limits(gate)]
        of_survey = OF_SURVEY.format(LS_DR10.name) if limits else ""
        return page(
            self,
            context,
            "\n\n".join([*(gate.text for gate in gates), of_survey, _example(gates[0])]),
            {"Limits, each --set GATE.KEY=VALUE": limits},
            gates[0].inputs,
            f"lensctl gate {named}",
            left_out,
        )


def _in_brief() -> Iterator[tuple[str, str]]:
    """Every gate with what it judges, in a line; of a broken one that it is."""
    from lensctl.gates import registry
    from lensctl.rules.errors import InputError

    for name in registry.names():
        try:
            yield name, registry.find(name).meaning.partition(": ")[0].removesuffix(".")
        except InputError:
            yield name, "cannot be loaded; `lensctl gate list` says why"


def _limits(gate: Gate) -> Iterator[tuple[str, str]]:
    """A gate's settings with their defaults in LS_DR10, and their meanings."""
    from lensctl.gates import registry
    from lensctl.rules.survey import LS_DR10

    for key, default in _shown_settings(gate, LS_DR10).items():
        meaning = registry.meaning_of(gate.fields()[key])
        yield f"{gate.name}.{key}", f"{meaning}  [default: {default.replace(',', ', ')}]"


def _example(gate: Gate) -> str:
    """A command line that runs a gate, with the default of its first limit."""
    inputs = gate.inputs.partition(" ")[0].partition(",")[0].rstrip(".")
    limit = next((f" --set {name}={_default(gate, name)}" for name, _ in _limits(gate)), "")
    return f"Example: lensctl gate {gate.name} {FILES.get(inputs, inputs.lower())}{limit}"


def _default(gate: Gate, name: str) -> str:
    from lensctl.rules.survey import LS_DR10

    return _shown_settings(gate, LS_DR10)[name.partition(".")[2]]


@command("gate", LOOK, cls=GateHelp)
def gate(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Gate, or several separated by commas; `list` shows them all.")
    ],
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="What the gate checks; - is stdin.", show_default=False)
    ] = [],  # noqa: B006
    set: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="GATE.KEY=VALUE",
            help="Change a limit; repeat for several. `gate list` shows them.",
            callback=_merged,
            show_default=False,
        ),
    ] = [],  # noqa: B006
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            help="shortcut: default or plan; trained: mvp or publication.",
            metavar="LEVEL",
            show_default=False,
        ),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option("--crop", min=1, help="pixels: fail on NaN anywhere in the central N pixels.", show_default=False),
    ] = None,
    root: Root = None,
    survey: Survey = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Also write the checks as JUnit XML.", show_default=False)
    ] = None,
    github: Annotated[bool, typer.Option("--github", help="Also print failures as GitHub annotations.")] = False,
    overwrite: Overwrite = False,
) -> int:
    """Check data or a model; exit status 1 means no.

    Prints one JSON line per check: gate, check, passed, value, low and high (its 95% interval), limit, n, offenders,
    input_digest. For several tables, the input digest is the digest of their digests, in order.

    `lensctl gate NAME --help` says what a gate judges and with which limits; `lensctl gate list` says it of all.

    Example: lensctl gate splits,overlap,weights manifest.parquet --set splits.train=0.6,0.8
    """
    from lensctl.gates import gate, registry
    from lensctl.gates.inputs import Inputs
    from lensctl.io.provenance.steps import common_survey
    from lensctl.io.storage.atomic import refuse_existing, whole_file

    if name == registry.LIST:
        _list(common_survey(survey))
        return 0
    if junit:
        refuse_existing(junit, overwrite)
    given = Inputs(inputs, root, survey)
    checks: list[Check] = []

    def each(check: Check) -> None:
        report.out(check.as_json())
        checks.append(check)

    made = gate(name, given, set=set, level=level, crop=crop, each=each)
    gate_report.show(checks, given.survey)
    if github:
        for check in checks:
            if not check.passed:
                report.complain(gate_report.annotation(check))
    if junit:
        with whole_file(junit, overwrite) as part:
            part.write_bytes(gate_report.junit(checks))
    return 0 if made["passed"] else FAILED


def _list(survey: SurveyValue) -> None:
    """List every gate as a JSON line on stdout and in a table, with a survey's settings; of a broken one say why."""
    from lensctl.gates import registry
    from lensctl.rules.errors import InputError

    gates, rows = [], []
    for name in registry.names():
        try:
            gate = registry.find(name)
        except InputError as error:
            report.out(json.dumps({"gate": name, "problem": str(error)}, ensure_ascii=False))
            rows.append((name, "–", f"cannot be loaded: {error}"))
            continue
        gates.append(gate)
        settings = _shown_settings(gate, survey)
        line = {"gate": name, "inputs": gate.inputs, "meaning": gate.meaning, "settings": settings}
        report.out(json.dumps(line, ensure_ascii=False))
        rows.append((name, gate.inputs, gate.meaning))
    report.table("Gates", ("gate", "input", "passes if"), rows)
    report.table(
        "Settings",
        ("setting", "default", "meaning"),
        (
            (f"{gate.name}.{key}", value, registry.meaning_of(gate.fields()[key]))
            for gate in gates
            for key, value in _shown_settings(gate, survey).items()
        ),
    )


def _shown_settings(gate: Gate, survey: SurveyValue) -> dict[str, str]:
    from lensctl.gates import registry

    settings = registry.settings_for([gate], [], survey)[gate.name]
    return {key: registry.show(getattr(settings, key)) for key in gate.fields()}
