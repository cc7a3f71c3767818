"""Print every command as its `--help` describes it.

python docs/reference/commands.py > docs/reference/commands.md
"""

import importlib
import re
import sys

import typer

from lensctl.cli.command import app
from lensctl.cli.main import COMMANDS

HEAD = """# Commands

Made from `--help` by `python docs/reference/commands.py > docs/reference/commands.md`; a test compares it. What all
commands share (paths, formats, exit codes, settings files) is on the [reference page](index.md)."""

SHARED = {"--config", "--quiet", "--help"}
"""Options of every command: said once, on top."""


def escaped(text: str) -> str:
    """A text in which Markdown sees nothing but words, code and our own pages."""
    kept = re.split(r"(`[^`]*`)", text)
    parts = [part if part.startswith("`") else re.sub(r"([*|\[\]])", r"\\\1", part) for part in kept]
    return re.sub(r"\bdocs/([\w/-]+\.md)", r"[docs/\1](../\1)", "".join(parts)).replace("<", "&lt;")


def described(text: str) -> list[str]:
    """The paragraphs of a help text, its example as a block."""
    lines = []
    for paragraph in text.split("\n\n"):
        found = re.match(r"(?:\x08\n)?Example: (.*)", paragraph, re.DOTALL)
        lines += ["", *(["```", found[1], "```"] if found else [escaped(paragraph)])]
    return lines


def table(title: str, records: list[tuple[str, str]]) -> list[str]:
    """A table of arguments or options, without those that all commands share."""
    rows = [record for record in records if not SHARED & set(re.findall(r"--[\w-]+", record[0]))]
    code = [(name.replace("|", "\\|"), escaped(" ".join(meaning.split()))) for name, meaning in rows]
    return ["", f"| {title} | |", "|---|---|", *(f"| `{name}` | {meaning} |" for name, meaning in code)] if rows else []


def command(name: str, of: typer.core.TyperCommand) -> list[str]:
    """The section of one command."""
    context = of.context_class(of, info_name=name)
    usage = of.get_usage(context).removeprefix("Usage: ")
    usage = re.sub(r"[{}]", "", " ".join(usage.split())).replace("......", "...")
    lines = ["", f"{'##' if name.count(' ') == 1 else '###'} {name}", "", f"`{usage}`", *described(of.help or "")]
    for kind in ("argument", "option"):
        own = (parameter for parameter in of.params if parameter.param_type_name == kind)
        found = [record for parameter in own if (record := parameter.get_help_record(context))]
        lines += table(kind, found)
    for each, sub in sorted(getattr(of, "commands", {}).items()):
        if not sub.hidden:
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
