"""Print the functions of lensctl for Python: those of the commands, and the functions of values beneath them.

python docs/api.py > docs/api.md
"""

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "lensctl"
NOT_VALUES = {"cli", "io", "learning", "emr", "sync", "show", "doctor.py"}
"""Rooms that read, write, or talk to a service."""
READING = ("lensctl.io", "lensctl.learning", "lensctl.frozen", "pathlib", "os", "shutil")
"""What a module of values does not import."""
QUERIES = "lensctl.io.tables.sql"
"""SQL over tables in memory."""

HEAD = """# lensctl from Python

Made by `python docs/api.py > docs/api.md`; a test compares it. Arguments, units and errors stand in the docstrings:
`help(lensctl.sample.sample)`. `examples/notebook.ipynb` goes through the steps of the demo, without selection and
search.

## Commands
Each is one function. It takes paths (str or Path; a local path, `s3://`, and a glob or `-` where the command takes
them), writes what the command writes, stamps its provenance, and returns the receipt as a dict. It raises the
command's errors (`lensctl.rules.errors`), and says nothing; `report=lensctl.cli.report` shows what the command shows.

| from | call | what it does |
|---|---|---|
"""

VALUES = """
## Values
Beneath the commands lie functions without I/O: arrays, tables and numbers in and out.
"""


def documented(path: Path) -> dict[str, ast.FunctionDef]:
    """The public functions of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}


def first_line(function: ast.FunctionDef) -> str:
    """The first line of a docstring, fit for a table."""
    return (ast.get_docstring(function) or "").partition("\n")[0].replace("|", "\\|")


def positional(function: ast.FunctionDef) -> str:
    """A call as one would write it: the arguments before the `*`."""
    names = [argument.arg for argument in function.args.args]
    return f"{function.name}({', '.join([*names, '…'] if function.args.kwonlyargs else names)})"


def exported(room: Path) -> list[tuple[str, str]]:
    """Module and name of every function that a room names in its `__init__.py`."""
    tree = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    return [(str(node.module), alias.name) for node in found for alias in node.names if alias.name.islower()]


def imports(path: Path) -> set[str]:
    """The modules that a module imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return names | {f"{node.module}.{alias.name}" for node in named for alias in node.names}


def of_values(path: Path) -> bool:
    """Whether a module neither reads nor writes."""
    used = {name for name in imports(path) if not name.startswith(QUERIES)}
    return not any(name == word or name.startswith(f"{word}.") for name in used for word in READING)


def commands() -> list[tuple[str, ast.FunctionDef]]:
    """Where each command's function is imported from, and the function."""
    found = []
    for path in sorted(PACKAGE.iterdir()):
        if path.is_dir() and (path / "__init__.py").is_file():
            for module, name in exported(path):
                file = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
                function = documented(file)[name]
                if function.returns is not None and ast.unparse(function.returns) == "Receipt":
                    found.append((f"lensctl.{path.name}", function))
        elif path.suffix == ".py" and path.stem in documented(path):
            found.append((f"lensctl.{path.stem}", documented(path)[path.stem]))
    return found


def values() -> list[tuple[str, list[tuple[str, ast.FunctionDef]]]]:
    """The modules of values, each with its functions that are no command."""
    of_commands = {(place, function.name) for place, function in commands()}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        functions = documented(path)
        place = ".".join(("lensctl", *parts)).removesuffix(".py")
        if parts[0] in NOT_VALUES or path.name.startswith("__") or not of_values(path):
            continue
        own = [
            (name, function)
            for name, function in functions.items()
            if (place, name) not in of_commands and (f"lensctl.{parts[0]}", name) not in of_commands
        ]
        if own:
            found.append((place, own))
    return found


if __name__ == "__main__":
    lines = [HEAD.rstrip("\n")]
    lines += [f"| `{place}` | `{positional(call)}` | {first_line(call)} |" for place, call in commands()]
    lines.append(VALUES.rstrip("\n"))
    for place, functions in values():
        lines += ["", f"### `{place}`"]
        lines += [f"- `{positional(call)}`: {first_line(call)}" for _, call in functions]
    sys.stdout.write("\n".join((*lines, "")))
