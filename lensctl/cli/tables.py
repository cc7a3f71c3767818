"""Tables for people: columns side by side where they fit, else a block per row; no word is ever broken."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lensctl.rules.errors import shown

if TYPE_CHECKING:
    from rich.console import RenderableType

GAP, INDENT = 2, 2
WIDEST_NAME = 24
"""A value stands beside a name of up to so many characters, beneath a longer one."""


def drawn(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    width: int,
    *,
    styles: Sequence[str | None] = (),
) -> RenderableType:
    """A table that is at most `width` wide.

    Parameters
    ----------
    columns : sequence of str
        Headings; without any, rows of a name and a value.
    rows : iterable of sequences
        Numbers stand on the right, missing values are a dash. A row of one cell among longer ones is a heading.
    styles : sequence of str or None
        Of the rows, for rich; all plain if there are none.

    Returns
    -------
    RenderableType
        Columns side by side if every word fits, and the rows are not taller than blocks; else a block per row.
    """
    given = [list(row) for row in rows]
    numeric = [_is_numeric(row[i] for row in given if len(row) == len(columns)) for i in range(len(columns))]
    cells = [[_cell(value) for value in row] for row in given]
    heads = [Text(shown(name)) for name in columns]
    looks = list(styles) or [None] * len(cells)
    above = [Text("\n".join(_lines(Text(shown(title)), width)), style="bold")] if title else []
    if len(columns) == 2 and not any(columns):
        return Group(*above, *_facts(cells, width, INDENT))
    widths = _widths(heads, cells, width)
    if widths is not None and _height(heads, cells, widths) <= _stacked_height(cells, width):
        return Group(*above, _grid(heads, cells, widths, numeric, looks))
    return Group(*above, *_stacked(heads, cells, width, numeric, looks))


def _is_numeric(values: Iterable[Any]) -> bool:
    found = list(values)
    return bool(found) and all(
        isinstance(value, int | float) or value is None or getattr(value, "justify", None) == "right" for value in found
    )


def figure(text: str) -> Text:
    """A number as it is to be shown, for a column on the right."""
    return Text(text, justify="right")


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Text("–")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(f"{value:,}")
    return Text(f"{value:.4g}" if isinstance(value, float) else shown(str(value)))


def _longest_word(text: Text) -> int:
    """Width of the longest word, with what indents its line."""
    lines = text.plain.splitlines()
    indents = (len(line) - len(line.lstrip()) for line in lines)
    return max(
        (indent + max(map(cell_len, line.split()), default=0) for indent, line in zip(indents, lines, strict=True)),
        default=0,
    )


def _widths(heads: Sequence[Text], cells: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """Widths of columns side by side, each at least its longest word; None if they do not fit."""
    columns = [[head, *(row[i] for row in cells if i < len(row))] for i, head in enumerate(heads)]
    widths = [max(1, *map(_longest_word, column)) for column in columns]
    wanted = [
        max(1, *(max(map(cell_len, text.plain.splitlines()), default=0) for text in column)) for column in columns
    ]
    spare = width - sum(widths) - GAP * (len(widths) - 1)
    if spare < 0:
        return None
    for i in sorted(range(len(widths)), key=lambda i: wanted[i] - widths[i]):
        more = min(spare, wanted[i] - widths[i])
        widths[i] += more
        spare -= more
    return widths


def _lines(text: Text, width: int) -> list[str]:
    """A text in lines of at most `width`; the middle of a word that is longer is left out."""
    lines = []
    for line in text.plain.splitlines() or [""]:
        indent = line[: min(len(line) - len(line.lstrip()), width - 1)]
        words = " ".join(_shortened(word, width - len(indent)) for word in line.split())
        lines += _wrapped(words, width, indent, indent) or [""]
    return lines


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    """Lines of whole words, by the width that a terminal gives them."""
    if text.isascii():
        return textwrap.wrap(
            text, width, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
        )
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append((others if lines else first) + word)
    return lines


def _shortened(word: str, width: int) -> str:
    """A word without its middle if it is wider than that."""
    if cell_len(word) <= width:
        return word
    head, tail = "", ""
    while cell_len(head + word[len(head)]) <= (width - 1) // 2:
        head += word[len(head)]
    while cell_len(head + "…" + word[-len(tail) - 1] + tail) <= width:
        tail = word[-len(tail) - 1] + tail
    return f"{head}…{tail}"


def _height(heads: Sequence[Text], cells: Sequence[Sequence[Text]], widths: Sequence[int]) -> int:
    return sum(max(len(_lines(text, wide)) for text, wide in zip(row, widths, strict=False)) for row in [heads, *cells])


def _stacked_height(cells: Sequence[Sequence[Text]], width: int) -> int:
    return sum(1 + sum(1 + cell_len(text.plain) // width for text in row if text.plain) for row in cells) + 1


def _grid(
    heads: Sequence[Text],
    cells: Sequence[Sequence[Text]],
    widths: Sequence[int],
    numeric: Sequence[bool],
    styles: Sequence[str | None],
) -> Table:
    """Columns side by side."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for head, wide, right in zip(heads, widths, numeric, strict=True):
        table.add_column(head, justify="right" if right else "left", width=wide, overflow="fold")
    for row, style in zip(cells, styles, strict=True):
        if len(row) == 1 < len(heads):
            table.add_section()
            style = style or "bold"
        table.add_row(*row, style=style)
    return table


def _stacked(
    heads: Sequence[Text],
    cells: Sequence[Sequence[Text]],
    width: int,
    numeric: Sequence[bool],
    styles: Sequence[str | None],
) -> Iterator[Text]:
    """A block per row: its first cell, and beneath it the others with their headings."""
    for row, style in zip(cells, styles, strict=True):
        first = Text(f"{heads[0].plain} {row[0].plain}") if numeric[0] else row[0]
        yield Text("\n".join(_lines(first, width)), style=style or "bold")
        pairs = [[head, text] for head, text in zip(heads[1:], row[1:], strict=False) if text.plain]
        yield from _facts(pairs, width, INDENT)


def _facts(pairs: Sequence[Sequence[Text]], width: int, indent: int) -> Iterator[Text]:
    """Names with their values beside them, or beneath where they do not fit."""
    beside = max((cell_len(name.plain) for name, _ in pairs if cell_len(name.plain) <= WIDEST_NAME), default=0) + GAP
    for name, value in pairs:
        head = " " * indent + name.plain
        room = width - indent - beside
        if cell_len(name.plain) <= beside - GAP and _longest_word(value) <= room and room > 0:
            first, *more = _lines(value, room)
            yield Text("\n".join([head + " " * (indent + beside - cell_len(head)) + first,
                                  *(" " * (indent + beside) + line for line in more)]))  # fmt: skip
        else:
            deeper = " " * (2 * indent or INDENT)
            lines = _lines(value, width - len(deeper))
            yield Text("\n".join([*_lines(Text(head), width), *(deeper + line for line in lines)]))
