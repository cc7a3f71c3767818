"""Print every command as its `--help` describes it.

python docs/reference/commands.py > docs/reference/commands.md
"""

import importlib
import inspect
import re
import sys

import typer

from lensctl.cli.command import app
from lensctl.cli.help import EXAMPLE, example, in_call, option_row
from lensctl.cli.main import COMMANDS

HEAD = """# Commands

Made from `--help` by `python docs/reference/commands.py > docs/reference/commands.md`; a test compares it. What all
commands share (paths, formats, exit codes, settings files) is on the [reference page](index.md)."""

SHARED = {"config", "quiet", "help"}
"""Options of every command: said once, on top."""


def escaped(text: str) -> str:
    """A text in which Markdown sees nothing but words, code and our own pages."""
    kept = re.split(r"(`[^`]*`)", text)
    parts = [part if part.startswith("`") else re.sub(r"([*|\[\]])", r"\\\1", part) for part in kept]
    return re.sub(r"\bdocs/([\w/-]+\.md)", r"[docs/\1](../\1)", "".join(parts)).replace("<", "&lt;")


def described(text: str) -> list[str]:
    """The paragraphs of a help text, its example as a block."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text).strip()):
        if paragraph.startswith(EXAMPLE):
            lines += ["", "```", *example(paragraph.removeprefix(EXAMPLE), 100), "```"]
        else:
            lines += ["", escaped(paragraph)]
    return lines


def table(title: str, rows: list[tuple[str, str]]) -> list[str]:
    """A table of arguments or options."""
    cells = [(name.replace("|", "\\|"), escaped(" ".join(meaning.split()))) for name, meaning in rows]
    return ["", f"| {title} | |", "|---|---|", *(f"| `{name}` | {meaning} |" for name, meaning in cells)]


def command(name: str, of: typer.core.TyperCommand) -> list[str]:
    """The section of one command."""
    context = of.context_class(of, info_name=name)
    subs = {each: sub for each, sub in sorted(getattr(of, "commands", {}).items()) if not sub.hidden}
    arguments = [each for each in of.params if each.param_type_name == "argument"]
    called = "COMMAND [ARGS]..." if subs else " ".join(map(in_call, arguments))
    lines = ["", f"{'##' if name.count(' ') == 1 else '###'} {name}", "", f"`{name} [OPTIONS] {called}`"]
    lines += described(of.help or "")
    lists: dict[str, list[tuple[str, str]]] = {}
    if arguments and not subs:
        lists["argument"] = [(each.display_name_raw, each.help or "") for each in arguments]
    for each in of.params:
        if each.param_type_name == "option" and not each.hidden and each.name not in SHARED:
            panel = getattr(each, "rich_help_panel", None) or "option"
            lists.setdefault(panel, []).append(option_row(each, context))
    for title, rows in lists.items():
        lines += table(title, rows)
    for each, sub in subs.items():
        lines += command(f"{name} {each}", sub)
    return lines


def page() -> list[str]:
    """All lines of the page."""
    for name in COMMANDS:
        importlib.import_module(f"lensctl.cli.{name}")
    group = typer.main.get_command(app)
    lines = [HEAD, "", "| command | what it does |", "|---|---|"]
    lines += [f"| [`lensctl {name}`](#lensctl-{name}) | {escaped(says)} |" for name, says in COMMANDS.items()]
    lines += ["", "Every command also takes `--config FILE` (a YAML file of settings), `--quiet` and `--help`."]
    for name in COMMANDS:
        lines += command(f"lensctl {name}", group.commands[name])
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join((*page(), "")))
