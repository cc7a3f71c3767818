"""`lensctl gate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import gate_report, report
from lensctl.cli.command import LOOK, command
from lensctl.cli.options import Overwrite, Root, Survey

if TYPE_CHECKING:
    from lensctl.gates.registry import Gate
    from lensctl.rules.checks import Check
    from lensctl.rules.survey import Survey as SurveyValue

FAILED = 1


def _merged(context: typer.Context, given: list[str]) -> list[str]:
    """Settings from the config file, then from the command line: the last value of a key wins."""
    return [*(context.default_map or {}).get("set", []), *given]


@command("gate", LOOK)
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

    Limits that follow from the survey, such as the fractions of the splits, are those of the survey that the input
    names. Names below are those of ls-dr10; z is its depth band, g-r and r-z are its colours, and radii are in its
    pixels.

    The shortcut gate tests for properties that separate positives from negatives without lensing. Over all rows and
    within strata (type, nobs_z_bin): psfsize_z, psfdepth_z, nobs_z. On a reproducible sample of cutouts with the
    strata of the positives: the excess (fraction of positives minus fraction of negatives) of a source, layer, release,
    pixel scale or side of the survey, and of cutouts with zeros or NaN in a band. Against negatives matched in type,
    flux_z, g-r, r-z, psfsize_z and nobs_z (a negative serves at most five positives): noise and texture in the outer
    annulus; level, gradient and stripes of the background there, and level, noise and corners beyond it, in units of
    the noise; centroid; all of these combined with PSF, depth and nobs; how fast the brightness falls within 3 px, and
    how bright it is there. Reported as expected physics: annulus_brightness, annulus_mad, asymmetry and profile (mean
    brightness in five rings). It does not see what is wrong inside the radius of the arcs, or in both classes alike;
    denser places of real lenses are untested, and --set shortcut.max_auc=0.65 moves the limit.

    The classifier is scikit-learn's HistGradientBoostingClassifier (60 trees of depth 3), cross-validated in five folds
    of HEALPix pixels. The core test uses mean and standard deviation in five rings within 10 px in each band; only
    --level plan sets a limit on it. An AUC, an excess or a ratio fails only if its whole 95% interval is outside the
    limit.

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
