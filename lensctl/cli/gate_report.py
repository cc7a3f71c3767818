"""How `lensctl gate` reports its checks: tables for people, annotations for GitHub, JUnit XML for CI."""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any

from lensctl.cli import report
from lensctl.rules.errors import shown
from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lensctl.rules.checks import Check
    from lensctl.rules.survey import Survey

OFFENDERS_IN_TABLE = 3
NAME_WIDTH, BAND_WIDTH = 20, 20
SHARE_LIMITS = re.compile(r">= (\S+), <= (\S+)")
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def show(checks: Sequence[Check], survey: Survey = LS_DR10) -> None:
    """Print the checks to stderr: passed, reported only, and failed ones last, where they are seen first."""
    several = len({check.gate for check in checks}) > 1
    passed = [check for check in checks if check.judged and check.passed]
    reported = [check for check in checks if not check.judged]
    failed = [check for check in checks if not check.passed]
    if passed:
        report.table("", ("passed", "value", "95% CI", "limit", "n"), _judged(passed, several))
    _report(reported, survey.bands, several)
    for check in failed:
        report.say(f"FAILED {check.gate}: {check.check}", style="bold red")
        for line in _why(check):
            report.say(f"  {line}")
    untold = sum(not check.told for check in passed)
    counts = [f"{len(passed)} passed" + (f" ({untold} of them not told)" if untold else "")]
    counts += [f"{len(failed) or 'none'} failed"]
    counts += [f"{len(reported)} reported only"] if reported else []
    report.say(f"{len(checks)} checks: {', '.join(counts)}", style="bold")


def _why(check: Check) -> Iterator[str]:
    """The value and limit, a note, and a few offenders, one per line."""
    interval = _interval(check)
    value = f"{_number(check.value)} ({interval})" if interval else _number(check.value)
    yield f"{value}; limit: {check.limit}; {check.n:,} checked"
    if check.note:
        yield check.note
    yield from check.offenders[:OFFENDERS_IN_TABLE]
    count = check.value if isinstance(check.value, int) else len(check.offenders)
    if check.offenders and count > OFFENDERS_IN_TABLE:
        yield f"… and {count - OFFENDERS_IN_TABLE:,} more"


def _judged(checks: Sequence[Check], several: bool) -> Iterator[tuple[Any, ...]]:
    """Rows of checks with a limit; under the name of their gate if there are several."""
    for gate, own in itertools.groupby(checks, key=lambda check: check.gate):
        if several:
            yield (gate,)
        for check in own:
            yield (
                _named(check),
                *map(figure, (_number(check.value), _interval(check), _short_limit(check.limit))),
                check.n,
            )


def _report(checks: Sequence[Check], bands: Sequence[str], several: bool) -> None:
    """Checks without a limit; per-band checks share one line, in several tables if there are many bands."""
    rows = []
    in_bands: dict[tuple[str, ...], list[tuple[str, str, Check]]] = {}
    for check in checks:
        what, band, suffix = _band_of(check.check, bands)
        if band:
            before, _, what = what.rpartition(" ")
            in_bands.setdefault((check.gate, check.note, before, suffix), []).append((what, band, check))
        else:
            name = f"{check.gate}: " if several else ""
            rows.append((_named(check, name), figure(_number(check.value)), figure(_interval(check)), check.n))
    if rows:
        report.table("", ("reported only", "value", "95% CI", "n"), rows)
    for (gate, note, before, suffix), group in in_bands.items():
        heading = f"{note or 'reported only'}; {before} …{suffix}"
        title = f"{gate}: {heading}" if several else heading
        there = [band for band in bands if any(band == of for _, of, _ in group)]
        fit = max((report.width() - NAME_WIDTH) // BAND_WIDTH, 3)
        for some in (there[i : i + fit] for i in range(0, len(there), fit)):
            lines = []
            for what, own in itertools.groupby(group, key=lambda each: each[0]):
                cells = {band: figure(f"{_number(check.value, 3)} {_interval(check)}") for _, band, check in own}
                lines.append((what, *(cells.get(band, figure("")) for band in some)))
            report.table(title, ("", *some), lines)


def _band_of(name: str, bands: Sequence[str]) -> tuple[str, str, str]:
    """A check's name before the band, the band, and the rest: `AUC of noise`, `g`, `, matched`."""
    found = re.fullmatch(rf"(.+)_({'|'.join(bands)})(,.*)?", name)
    return (found[1], found[2], found[3] or "") if found else (name, "", "")


def figure(text: str) -> Any:
    """A number as it is to be shown, on the right."""
    from lensctl.cli import tables

    return tables.figure(text)


def _named(check: Check, before: str = "") -> Any:
    """The check's name, with its note on the next line."""
    from rich.text import Text

    name = Text(shown(before + check.check))
    if check.note:
        name.append(f"\n  {shown(check.note)}", style="dim")
    return name


def _number(value: Any, digits: int = 4) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _interval(check: Check) -> str:
    """The interval, with digits according to its width, four at most; empty if there is none."""
    if check.low is None or check.high is None:
        return ""
    width = check.high - check.low
    if not width > 0:
        return "..".join(map(_number, (check.low, check.high)))
    digits = min(max(1 - math.floor(math.log10(width)), 0), 4)
    return "..".join(f"{end:.{digits}f}" if round(end, digits) else "0" for end in (check.low, check.high))


def _short_limit(limit: str) -> str:
    return SHARE_LIMITS.sub(r"\1..\2", limit).removeprefix("interval meets ")


def annotation(check: Check) -> str:
    """A failed check as a GitHub workflow command, which the runner reads from stderr as well as stdout."""
    text = _escaped("; ".join((check.check, *_why(check))))
    title = _escaped(f"lensctl gate {check.gate}").replace(":", "%3A").replace(",", "%2C")
    return f"::error title={title}::{text}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def junit(checks: Sequence[Check]) -> bytes:
    """JUnit XML: a test suite per gate, a test case per check, with its JSON line as output."""
    from xml.etree import ElementTree

    def counts(own: Sequence[Check]) -> dict[str, str]:
        failures = sum(not check.passed for check in own)
        return {"tests": str(len(own)), "failures": str(failures), "errors": "0"}

    suites = ElementTree.Element("testsuites", {"name": "lensctl gate", **counts(checks)})
    for gate in dict.fromkeys(check.gate for check in checks):
        own = [check for check in checks if check.gate == gate]
        suite = ElementTree.SubElement(suites, "testsuite", {"name": gate, **counts(own)})
        for check in own:
            names = {"classname": f"lensctl.gate.{gate}", "name": _in_xml(check.check)}
            case = ElementTree.SubElement(suite, "testcase", names)
            if not check.passed:
                first, *more = map(_in_xml, _why(check))
                ElementTree.SubElement(case, "failure", message=first, type="gate").text = "\n".join([first, *more])
            ElementTree.SubElement(case, "system-out").text = _in_xml(check.as_json())
    ElementTree.indent(suites)
    return bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def _in_xml(text: str) -> str:
    """The text with characters that are not allowed in XML replaced."""
    return NOT_IN_XML.sub("\ufffd", text)
