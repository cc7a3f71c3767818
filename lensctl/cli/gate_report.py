"""How `lensctl gate` reports its checks: tables for people, annotations for GitHub, JUnit XML for CI."""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any

from lensctl.rules.survey import LS_DR10

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.table import Table

    from lensctl.rules.checks import Check
    from lensctl.rules.survey import Survey

LOG_WIDTH = 110
OFFENDERS_IN_TABLE = 3
NAME_WIDTH, BAND_WIDTH = 20, 20
SHARE_LIMITS = re.compile(r">= (\S+), <= (\S+)")
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def show(checks: Sequence[Check], survey: Survey = LS_DR10) -> None:
    """Print the checks to stderr: passed, reported only, and failed ones last, where they are seen first."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    several = len({check.gate for check in checks}) > 1
    passed = [check for check in checks if check.judged and check.passed]
    reported = [check for check in checks if not check.judged]
    failed = [check for check in checks if not check.passed]
    if passed:
        console.print(_judged(passed, several), "")
    _report(console, reported, survey.bands, several)
    for check in failed:
        console.print(f"FAILED {check.gate}: {check.check}", style="bold red")
        for line in _why(check):
            console.print(f"  {line}")
    untold = sum(not check.told for check in passed)
    counts = [f"{len(passed)} passed" + (f" ({untold} of them not told)" if untold else "")]
    counts += [f"{len(failed) or 'none'} failed"]
    counts += [f"{len(reported)} reported only"] if reported else []
    console.print(f"{len(checks)} checks: {', '.join(counts)}", style="bold")


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


def _table(*columns: str) -> Table:
    """An empty table: the first column is text, the others are numbers that do not wrap."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _judged(checks: Sequence[Check], several: bool) -> Table:
    table = _table("passed", "value", "95% CI", "limit", "n")
    for gate, own in itertools.groupby(checks, key=lambda check: check.gate):
        if several:
            table.add_section()
            table.add_row(gate, style="bold")
        for check in own:
            table.add_row(
                _named(check), _number(check.value), _interval(check), _short_limit(check.limit), f"{check.n:,}"
            )
    return table


def _report(console: Console, checks: Sequence[Check], bands: Sequence[str], several: bool) -> None:
    """Checks without a limit; per-band checks share one line, in several tables if there are many bands."""
    table = _table("reported only", "value", "95% CI", "n")
    in_bands: dict[tuple[str, ...], list[tuple[str, str, Check]]] = {}
    for check in checks:
        what, band, suffix = _band_of(check.check, bands)
        if band:
            before, _, what = what.rpartition(" ")
            in_bands.setdefault((check.gate, check.note, before, suffix), []).append((what, band, check))
        else:
            name = f"{check.gate}: " if several else ""
            table.add_row(_named(check, name), _number(check.value), _interval(check), f"{check.n:,}")
    if table.rows:
        console.print(table, "")
    for (gate, note, before, suffix), group in in_bands.items():
        heading = f"{note or 'reported only'}; {before} …{suffix}"
        console.print(f"{gate}: {heading}" if several else heading, style="bold")
        shown = [band for band in bands if any(band == of for _, of, _ in group)]
        fit = max((console.width - NAME_WIDTH) // BAND_WIDTH, 3)
        for some in (shown[i : i + fit] for i in range(0, len(shown), fit)):
            table = _table("", *some)
            for what, own in itertools.groupby(group, key=lambda each: each[0]):
                cells = {band: f"{_number(check.value, 3)} {_interval(check)}" for _, band, check in own}
                table.add_row(what, *(cells.get(band, "") for band in some))
            console.print(table, "")


def _band_of(name: str, bands: Sequence[str]) -> tuple[str, str, str]:
    """A check's name before the band, the band, and the rest: `AUC of noise`, `g`, `, matched`."""
    found = re.fullmatch(rf"(.+)_({'|'.join(bands)})(,.*)?", name)
    return (found[1], found[2], found[3] or "") if found else (name, "", "")


def _named(check: Check, before: str = "") -> Any:
    """The check's name, with its note on the next line."""
    from rich.text import Text

    name = Text(before + check.check)
    if check.note:
        name.append(f"\n  {check.note}", style="dim")
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
