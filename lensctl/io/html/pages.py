"""What all pages have in common: templates, numbers for display, links to the sky viewer."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from lensctl.rules.survey import Survey

CONTENTS = "<!-- contents -->"
TITLE = re.compile(r'<section id="([\w-]+)"[^>]*>\s*<h2>(.*?)</h2>')
"""Of a section: its id and its heading."""
VIEWER = "https://www.legacysurvey.org/viewer?ra={ra:.6f}&dec={dec:.6f}&layer={layer}&zoom=16"


def number(value: float | None, digits: int = 3) -> str:
    """A number for display; a dash if there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if value and abs(value) < 10**-digits / 2:
        return f"{value:.1e}"
    return f"{value:,.{digits}f}".replace("-", "−")


def interval(figure: Mapping[str, Any], digits: int = 3) -> str:
    """An interval for display."""
    if figure["low"] is None or figure["high"] is None:
        return "no interval"
    return f"{number(figure['low'], digits)} to {number(figure['high'], digits)}"


@functools.cache
def environment(package: str) -> Environment:
    """Templates of a package, and those that all pages share: macros.html, style.css, page.js."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("lensctl.io.html")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(number=number, interval=interval, begin=lambda text: text[:1].upper() + text[1:])
    return made


def page(made: Environment, template: str, **values: Any) -> str:
    """A page: a template with values, and with links to its sections where it has `contents()`."""
    html = made.get_template(template).render(**values)
    links = "".join(f'<li><a href="#{name}">{title}</a></li>\n' for name, title in TITLE.findall(html))
    return html.replace(CONTENTS, f'<nav class="contents screen" aria-label="Contents">\n<ul>\n{links}</ul>\n</nav>', 1)


def viewer_link(ra: float, dec: float, survey: Survey) -> str:
    """Link to the Legacy Survey sky viewer; empty if there is no position, or it lacks the survey."""
    if not survey.in_legacy_surveys or not (math.isfinite(ra) and math.isfinite(dec)):
        return ""
    return VIEWER.format(ra=ra, dec=dec, layer=survey.layer)
