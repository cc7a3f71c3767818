"""`lensctl gate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import gate_report, report
from lensctl.cli.command import LOOK, command
from lensctl.cli.options import Overwrite, Root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lensctl.gates.registry import Gate
    from lensctl.rules.checks import Check

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

    The shortcut gate looks for what must not tell positives from negatives. Over all rows, and within strata (type,
    nobs_z_bin): psfsize_z, psfdepth_z, nobs_z. On a sample of cutouts, the same at every run, its strata those of the
    positives: the excess (share of positives minus share of negatives) of a source, layer, release, pixel scale or side
    of the survey, and of cutouts with zeros or NaN in a band. Against negatives matched in type, flux_z, g-r, r-z,
    psfsize_z and nobs_z: noise and texture in the outer annulus, centroid, all of these together with PSF, depth and
    nobs, and the brightness within 3 px. Reported as expected physics: annulus_brightness, annulus_mad, asymmetry and
    profile (the mean brightness in five rings).

    Its classifier is scikit-learn's HistGradientBoostingClassifier (60 trees of depth 3), fitted five times, each time
    judged on HEALPix pixels it has not seen. The plan's core test gives it mean and deviation of five rings within
    10 px in each band; --level plan judges it. An AUC, an excess or a ratio fails only where its 95 % interval lies
    wholly beyond the limit.

    Example: lensctl gate splits,overlap,weights manifest.parquet --set splits.train=0.6,0.8
    """
    from lensctl.gates import registry
    from lensctl.gates.inputs import Inputs
    from lensctl.io.storage.atomic import refuse_existing, whole_file
    from lensctl.rules.errors import InputError

    if name == registry.LIST:
        _list()
        return 0
    if not inputs:
        raise InputError("no input is given", "name what the gate judges; `lensctl gate list` says what that is")
    if junit:
        refuse_existing(junit, overwrite)
    gates = [registry.find(part) for part in dict.fromkeys(part.strip() for part in name.split(","))]
    settings = registry.settings_for(gates, [*set, *_for_those_with(gates, level=level, crop=crop)])
    judged = Inputs(inputs, root)
    checks: list[Check] = []
    for one in gates:
        for check in registry.run(one, judged, settings[one.name]):
            report.out(check.as_json())
            checks.append(check)
    gate_report.show(checks)
    if github:
        for check in checks:
            if not check.passed:
                report.say(gate_report.annotation(check))
    if junit:
        with whole_file(junit, overwrite) as part:
            part.write_bytes(gate_report.junit(checks))
    return 0 if checks and all(check.passed for check in checks) else NO


def _for_those_with(gates: Sequence[Gate], **given: Any) -> list[str]:
    """Options that are settings of some gates, as settings; InputError where none of the gates has it."""
    from lensctl.rules.errors import InputError

    found = []
    for key, value in given.items():
        if value is None:
            continue
        having = [gate.name for gate in gates if key in gate.fields()]
        if not having:
            raise InputError(f"--{key} means nothing to {', '.join(gate.name for gate in gates)}", "leave it out")
        found += [f"{name}.{key}={value}" for name in having]
    return found


def _list() -> None:
    """Every gate as a JSON line on stdout and in a table; one that cannot be loaded with the reason."""
    from lensctl.gates import registry
    from lensctl.rules.errors import InputError

    gates, rows = [], []
    for name in registry.names():
        try:
            gate = registry.find(name)
        except InputError as error:
            report.out(json.dumps({"gate": name, "problem": str(error)}, ensure_ascii=False))
            rows.append((name, "–", f"cannot be used: {error}"))
            continue
        gates.append(gate)
        settings = {key: registry.show(field.default) for key, field in gate.fields().items()}
        line = {"gate": name, "inputs": gate.inputs, "meaning": gate.meaning, "settings": settings}
        report.out(json.dumps(line, ensure_ascii=False))
        rows.append((name, gate.inputs, gate.meaning))
    report.table("Gates", ("gate", "judges", "passes when"), rows)
    report.table(
        "Settings",
        ("setting", "default", "meaning"),
        (
            (f"{gate.name}.{key}", registry.show(field.default), registry.meaning_of(field))
            for gate in gates
            for key, field in gate.fields().items()
        ),
    )
