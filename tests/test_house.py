"""The rules of the house (CONTRIBUTING.md): who may import whom, and what stands in one place only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lensctl"
LAYERS = ("rules", "stats", "astro", "io", "frozen", "learning", "cli")
MODULES = sorted(PACKAGE.rglob("*.py"))
LIBRARY = [path for path in MODULES if "cli" not in path.relative_to(PACKAGE).parts and path.name != "__main__.py"]
MAY_IMPORT = {
    "rules": {"rules"},
    "stats": {"rules", "stats"},
    "astro": {"rules", "astro"},
    "io": {"rules", "stats", "astro", "io"},
    "frozen": {"rules", "stats", "io", "frozen"},
    "learning": {"rules", "stats", "astro", "io", "learning"},
    "verb": {"rules", "stats", "astro", "io", "frozen", "learning"},
    "cli": {"rules", "stats", "astro", "io", "frozen", "learning", "verb", "cli"},
}
TORCH = {"learning", "train", "score", "freeze", "verify"}


def imports(path: Path) -> list[str]:
    """Names of all modules a file imports, anywhere in it, those only for type checking too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def layer(parts: tuple[str, ...]) -> str:
    """Layer of a module by its path within the package; a verb is what is in none of the folders."""
    return parts[0] if parts[0] in LAYERS else "verb"


def verb(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


def inside(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).parts


def named(path: Path) -> str:
    return "/".join(inside(path))


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent != PACKAGE or not p.name.startswith("__")], ids=named)
def test_lower_layers_know_nothing_of_upper_ones_and_a_verb_imports_no_verb(path):
    mine = layer(inside(path))
    for name in imports(path):
        parts = tuple(name.split(".")[1:])
        if not name.startswith("lensctl.") or parts[0] in ("__version__",):
            continue
        theirs = layer(parts)
        assert theirs in MAY_IMPORT[mine] or (
            mine == "verb" and theirs == "verb" and verb(parts) == verb(inside(path))
        ), name


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_the_library_knows_no_command_line(path):
    assert not [
        m for m in imports(path) if m.split(".")[0] in {"typer", "click", "rich"} or m.startswith("lensctl.cli")
    ]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_each_heavy_library_has_one_place(path):
    found = {name.split(".")[0] for name in imports(path)}
    if named(path) != "io/tables/sql.py":
        assert "duckdb" not in found
    if verb(inside(path)) not in TORCH:
        assert not {"torch", "torchvision"} & found


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").glob("*.py")), ids=named)
def test_commands_import_nothing_heavy_before_they_run(path):
    light = {"__future__", "typing", "collections", "pathlib", "typer"}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                standard = name.split(".")[0] in light or name.split(".")[0] in __import__("sys").stdlib_module_names
                assert standard or name.startswith(("lensctl.cli", "lensctl.rules")) or name == "lensctl", name


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_the_library_does_not_print(path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]


@pytest.mark.parametrize("path", [p for p in LIBRARY if layer(inside(p)) == "verb"], ids=named)
def test_a_verb_reads_no_clock_no_environment_and_no_global_randomness(path):
    source = ast.parse(path.read_text())
    attributes = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not attributes & {"time.time", "datetime.now", "os.environ", "os.getenv", "random.random", "np.random.seed"}


def test_only_one_place_catches_everything():
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            broad = isinstance(node, ast.ExceptHandler) and (
                node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception")
            )
            if broad:
                found.append(named(path))
    assert found == ["cli/main.py"]


def test_no_module_is_called_after_nothing():
    assert not [named(p) for p in MODULES if p.stem in {"utils", "common", "helpers", "misc"}]
