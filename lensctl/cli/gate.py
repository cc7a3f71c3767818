"""`lensctl gate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import LOOK, command
from lensctl.cli.options import Overwrite, Root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lensctl.gates.registry import Gate
    from lensctl.words.checks import Check

NO = 1


def _merged(context: typer.Context, given: list[str]) -> list[str]:
    """Settings of the config file first, then those of the command line: the last of a key wins."""
    return [*(context.default_map or {}).get("set", []), *given]


@command("gate", LOOK)
def gate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Gate, or several joined by commas; `list` names them.")],
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="What the gate judges; - is stdin.", show_default=False)
    ] = [],  # noqa: B006
    set: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="GATE.KEY=VALUE",
            help="Change a limit; repeat for several. `gate list` names them.",
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
        typer.Option("--crop", min=1, help="pixels: refuse NaN anywhere in the central N pixels.", show_default=False),
    ] = None,
    root: Root = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Also write the checks as JUnit XML.", show_default=False)
    ] = None,
    github: Annotated[bool, typer.Option("--github", help="Also say failures as GitHub annotations.")] = False,
    overwrite: Overwrite = False,
) -> int:
    """Judge a data set or a model; exit status 1 means no.

    One JSON line for each check on stdout: gate, check, passed, value, low and high (its 95 % interval), limit, n,
    offenders, input_digest. The input digest of several tables is that of their digests, in their order.

    The shortcut gate compares positives with negatives of the same stratum (type, nobs_z_bin), and pixels with
    negatives matched in type, flux_z, g-r, r-z, psfsize_z and nobs_z. Its classifier is scikit-learn's
    HistGradientBoostingClassifier (trees of depth 3), fitted five times, each time judged on HEALPix pixels it has
    not seen: on noise, texture, zeros, NaN and centroid (noise in the outer annulus) with PSF, depth and nobs; and, for
    the plan's core test, on mean and deviation of five rings within 10 px, in each band. An AUC fails only where its
    interval lies wholly beyond the limit.

    Example: lensctl gate splits,overlap,weights manifest.parquet --set splits.train=0.6,0.8
    """
    from lensctl.doors.whole import refuse_existing, whole_file
    from lensctl.gates import registry
    from lensctl.gates.inputs import Inputs
    from lensctl.words.errors import InputError

    if name == "list":
        _list([registry.find(known) for known in registry.names()])
        return 0
    if not inputs:
        raise InputError("no input is given", "name what the gate judges; `lensctl gate list` says what that is")
    if junit:
        refuse_existing(junit, overwrite)
    gates = [registry.find(part.strip()) for part in name.split(",")]
    settings = registry.settings_for(gates, [*set, *_for_those_with(gates, level=level, crop=crop)])
    judged = Inputs(inputs, root)
    checks: list[Check] = []
    for one in gates:
        for check in registry.run(one, judged, settings[one.name]):
            report.out(check.as_json())
            checks.append(check)
    _show(checks)
    if github:
        for check in checks:
            if not check.passed:
                report.say(_annotation(check))
    if junit:
        with whole_file(junit, overwrite) as part:
            part.write_bytes(_junit(checks))
    return 0 if checks and all(check.passed for check in checks) else NO


def _for_those_with(gates: Sequence[Gate], **given: Any) -> list[str]:
    """Options that are settings of some gates, as settings; InputError where none of the gates has it."""
    from lensctl.words.errors import InputError

    found = []
    for key, value in given.items():
        if value is None:
            continue
        having = [gate.name for gate in gates if key in gate.fields()]
        if not having:
            raise InputError(f"--{key} means nothing to {', '.join(gate.name for gate in gates)}", "leave it out")
        found += [f"{name}.{key}={value}" for name in having]
    return found


def _list(gates: Sequence[Gate]) -> None:
    from lensctl.gates.registry import show

    for gate in gates:
        settings = {name: show(field.default) for name, field in gate.fields().items()}
        line = {"gate": gate.name, "inputs": gate.inputs, "meaning": gate.meaning, "settings": settings}
        report.out(json.dumps(line, ensure_ascii=False))
    report.table("Gates", ("gate", "judges", "passes when"), ((gate.name, gate.inputs, gate.meaning) for gate in gates))
    report.table(
        "Settings",
        ("setting", "default", "meaning"),
        (
            (f"{gate.name}.{name}", show(field.default), field.metadata["meaning"])
            for gate in gates
            for name, field in gate.fields().items()
        ),
    )


def _show(checks: Sequence[Check]) -> None:
    rows = []
    for check in checks:
        interval = "" if check.low is None or check.high is None else f"{check.low:.4g} to {check.high:.4g}"
        remark = "; ".join(filter(None, (check.note, ", ".join(check.offenders))))
        verdict = "yes" if check.passed else "NO"
        rows.append((check.gate, check.check, verdict, check.value, interval, check.limit, check.n, remark))
    columns = ("gate", "check", "passed", "value", "95 %", "limit", "n", "remark")
    failed = sum(not check.passed for check in checks)
    report.table(f"{len(checks)} checks, {failed or 'none'} failed", columns, rows)


def _annotation(check: Check) -> str:
    """A failed check as a line that GitHub's runner reads (from stderr as well as stdout)."""
    text = f"{check.check}: {check.value} (limit {check.limit}, n {check.n}) {', '.join(check.offenders)}".strip()
    for plain, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(plain, escaped)
    return f"::error title=lensctl gate {check.gate}::{text}"


def _junit(checks: Sequence[Check]) -> bytes:
    from xml.etree import ElementTree

    suites = ElementTree.Element("testsuites", name="lensctl gate")
    for name in dict.fromkeys(check.gate for check in checks):
        own = [check for check in checks if check.gate == name]
        failures = str(sum(not check.passed for check in own))
        suite = ElementTree.SubElement(
            suites, "testsuite", name=name, tests=str(len(own)), failures=failures, errors="0"
        )
        for check in own:
            case = ElementTree.SubElement(suite, "testcase", classname=f"lensctl.gate.{name}", name=check.check)
            if not check.passed:
                message = f"{check.value} is not {check.limit} (n {check.n})"
                failure = ElementTree.SubElement(case, "failure", message=message)
                failure.text = "\n".join(filter(None, (check.note, *check.offenders)))
            ElementTree.SubElement(case, "system-out").text = check.as_json()
    ElementTree.indent(suites)
    return bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"
