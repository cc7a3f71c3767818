"""The help of commands: for astronomers, without types of Python, no wider than 80 columns."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from typer.core import TyperCommand, TyperGroup

from lensctl.cli import report

WIDEST, LEFT = 80, 30
"""Columns of a help text, and of the names on its left."""
EXAMPLE = "Example: "
VALUES = ((bool, ""), (int, "N"), (float, "X"), (Path, "PATH"))
"""What stands for a value of a type; TEXT for any other."""
BOUNDS = (
    (re.compile(r"([\w.-]+)<=x<=([\w.-]+)"), r"\1 to \2"),
    (re.compile(r"x>=([\w.-]+)"), r"at least \1"),
    (re.compile(r"x<=([\w.-]+)"), r"at most \1"),
)
WORD = re.compile(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+")


class HelpCommand(TyperCommand):
    """A command with our help."""

    def get_help(self, context: Any) -> str:
        """The help text."""
        return page(self, context, self.help or "")


class HelpGroup(TyperGroup):
    """A group of commands with our help."""

    def get_help(self, context: Any) -> str:
        """The help text, with a line for each command."""
        commands = [(name, (self.commands[name].help or "").partition("\n")[0]) for name in self.list_commands(context)]
        return page(self, context, self.help or "", {"Commands": commands}, "COMMAND [ARGS]...")


def page(
    command: Any,
    context: Any,
    text: str,
    more: dict[str, Sequence[tuple[str, str]]] | None = None,
    arguments: str | None = None,
    name: str = "",
    left_out: Container[str] = (),
) -> str:
    """A help text: how to call a command, what it does, its arguments, its options by their panels.

    Parameters
    ----------
    text : str
        What it does: paragraphs; one that begins with "Example: " stays a command line to be copied.
    more : mapping
        Further lists of names and their meanings, by title: after the text.
    arguments : str, optional
        What stands in the call for the arguments.
    name : str
        What stands for the command, if not its own name.
    left_out : container of str
        Options that are not listed.
    """
    width = min(report.width(sys.stdout), WIDEST)
    given = [each for each in command.get_params(context) if each.param_type_name == "argument"]
    called = " ".join(map(in_call, given)) if arguments is None else arguments
    usage = f"Usage: {name or context.command_path} [OPTIONS] {called}"
    parts = ["\n".join(_lines(usage, width, "", " " * 7)), *_paragraphs(text, width)]
    lists: dict[str, list[tuple[str, str]]] = {}
    if arguments is None and given:
        lists["Arguments"] = [(each.display_name_raw, each.help or "") for each in given]
    lists |= {title: list(rows) for title, rows in (more or {}).items()}
    for each in command.get_params(context):
        if each.param_type_name == "option" and not each.hidden and each.name not in left_out:
            panel = getattr(each, "rich_help_panel", None) or "Options"
            lists.setdefault(panel, []).append(option_row(each, context))
    parts += ["\n".join([f"{title}:", *_listed(rows, width)]) for title, rows in lists.items() if rows]
    return "\n\n".join(parts)


def in_call(argument: Any) -> str:
    """An argument in the line that says how to call a command."""
    name = argument.display_name_raw.removesuffix("...")
    many = "..." if argument.nargs != 1 or argument.display_name_raw.endswith("...") else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def option_row(option: Any, context: Any) -> tuple[str, str]:
    """An option with what stands for its value, and its meaning, default and bounds."""
    if option.metavar is None and not option.is_flag:
        option.metavar = _value(option.type_descriptor.annotation)
    name, meaning = option.get_help_record(context)
    for pattern, words in BOUNDS:
        meaning = pattern.sub(words, meaning)
    return name, meaning


def _value(annotation: Any) -> str:
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if parts:
        return " ".join(map(_value, parts))
    return next(
        (word for kind, word in VALUES if isinstance(annotation, type) and issubclass(annotation, kind)), "TEXT"
    )


def _paragraphs(text: str, width: int) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text).strip()):
        if paragraph.startswith(EXAMPLE):
            yield "\n".join(f"  {line}" for line in example(paragraph, width - 2))
        elif paragraph:
            yield "\n".join(_lines(" ".join(paragraph.split()), width, "  ", "  "))


def example(text: str, width: int) -> list[str]:
    """A command line in lines that a shell takes as one, each of whole words, an option with its value."""
    pieces: list[list[str]] = [[]]  # the command, then each option with its values
    for word in WORD.findall(text.replace("\\\n", " ")):
        pieces += [[]] if word.startswith("-") and len(word) > 1 else []
        pieces[-1].append(word)
    lines = [""]
    for piece in pieces:
        whole = " ".join(piece)
        for part in [whole] if len(whole) + 6 <= width else piece:
            if not lines[-1] or len(lines[-1]) + len(part) + 3 <= width:
                lines[-1] += f" {part}" if lines[-1] else part
            else:
                lines.append(f"    {part}")
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _listed(rows: Iterable[tuple[str, str]], width: int) -> Iterator[str]:
    """Names on the left, meanings on the right; beneath a name that is long."""
    given = list(rows)
    left = min(max(len(name) for name, _ in given), LEFT) + 2
    for name, meaning in given:
        if len(name) > left - 2:
            yield from _lines(name, width, "  ", "    ")
            yield from _lines(meaning, width, " " * (left + 2), " " * (left + 2))
        else:
            yield from _lines(meaning, width, f"  {name:{left}}", " " * (left + 2)) or [f"  {name}"]


def _lines(text: str, width: int, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )
