"""The rules of the house (docs/design.md): who may import whom, how large a room is, what stands in one place only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lensctl"
MODULES = sorted(PACKAGE.rglob("*.py"))
LIBRARY = [path for path in MODULES if "cli" not in path.relative_to(PACKAGE).parts and path.name != "__main__.py"]
MOST_MODULES, MOST_LINES = 15, 350

FLOORS = (
    ("rules/columns",),
    ("rules",),
    ("stats", "astro"),
    ("stats/fits",),
    ("io",),
    ("io/provenance", "io/storage", "io/html"),
    ("io/fits",),
    ("io/tables", "io/cutouts"),
    ("io/imaging",),
    ("injection",),
    ("frozen", "learning"),
    ("learning/data",),
    ("learning/networks",),
    ("learning/training",),
    ("frozen/proof",),
    ("comparing",),
    ("verb",),
    ("cli",),
)
"""Rooms from the ground up: a module imports what lies in its own room or on a lower floor."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
TORCH = {"learning", "frozen", "train", "score", "freeze", "verify"}
SQL_DOORS = {"io/tables/sql.py": {"duckdb"}, "io/tables/spark.py": {"pyspark", "py4j"}}
PIPES = {"io/tables/files.py"}
"""Tables go to stdout and come from stdin there, and nowhere else."""


def inside(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).parts


def named(path: Path) -> str:
    return "/".join(inside(path))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


KNOWN = {dotted(path): path for path in MODULES}


def imports(path: Path) -> list[str]:
    """Names of all modules a file imports, anywhere in it: inside functions and for type checking too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def ours(path: Path) -> set[str]:
    """Modules of lensctl that a file imports."""
    found = set()
    for name in imports(path):
        module = name if name in KNOWN else name.rpartition(".")[0]
        if module in KNOWN and module != dotted(path):
            found.add(module)
    return found


def room(path: Path) -> str:
    """The folder of a module, with `verb` for what is on the verbs' floor."""
    folder = "/".join(inside(path)[:-1])
    return folder if folder in FLOOR or folder == "cli" else "verb"


def verb(path: Path) -> str:
    return inside(path)[0].removesuffix(".py")


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names that import each other in a loop; empty where there is none."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


IMPORTERS = [path for path in MODULES if path.parent != PACKAGE or not path.name.startswith("__")]


@pytest.mark.parametrize("path", IMPORTERS, ids=named)
def test_imports_go_down_the_floors_and_a_verb_imports_no_verb(path):
    mine = room(path)
    for module in ours(path) - {"lensctl"}:
        theirs = room(KNOWN[module])
        if mine == theirs == "verb":
            assert verb(path) == verb(KNOWN[module]), module
        else:
            assert mine == theirs or FLOOR[theirs] < FLOOR[mine], module


def test_no_module_imports_itself_by_way_of_others():
    assert circle({dotted(path): ours(path) for path in MODULES}) == []


def test_no_room_imports_itself_by_way_of_others():
    """What `__init__.py` hands out at the top of a room does not count."""
    rooms: dict[str, set[str]] = {}
    for path in (path for path in MODULES if path.parent != PACKAGE and path.name != "__init__.py"):
        here = "/".join(inside(path)[:-1])
        there = {"/".join(inside(KNOWN[module])[:-1]) for module in ours(path)}
        rooms.setdefault(here, set()).update(there - {here, ""})
    assert circle(rooms) == []


def test_a_circle_would_be_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()})
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_room_is_too_large_to_look_around_in():
    count = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    del count[PACKAGE], count[PACKAGE / "cli"]
    assert {named(folder): n for folder, n in count.items() if n > MOST_MODULES} == {}


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_module_is_too_long_to_read_at_once(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_every_room_says_what_is_in_it():
    folders = {path.parent for path in MODULES}
    silent = [
        named(folder) for folder in folders if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    ]
    assert silent in ([], [""])


def test_the_map_in_the_design_is_that_of_the_folders():
    text = (ROOT / "docs" / "design.md").read_text()
    mapped = set(re.findall(r"^\| `lensctl/([a-z_/]+)/` ", text, re.MULTILINE))
    there = {named(path.parent) for path in MODULES} - {""}
    assert mapped == there


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_the_library_knows_no_command_line(path):
    assert not [
        m for m in imports(path) if m.split(".")[0] in {"typer", "click", "rich"} or m.startswith("lensctl.cli")
    ]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_sql_goes_through_its_door_alone(path):
    engines = {"duckdb", "pyspark", "py4j", "sqlite3", "chdb", "datafusion"}
    found = {name.split(".")[0] for name in imports(path)} & engines
    assert found <= SQL_DOORS.get(named(path), set())


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_torch_is_imported_only_where_pixels_become_scores(path):
    if verb(path) not in TORCH:
        assert not {"torch", "torchvision"} & {name.split(".")[0] for name in imports(path)}


def test_processes_that_workers_start_do_without_torch():
    """They import the module of what they run: torch is a quarter of a gigabyte, and seconds, in each of them."""
    starts = [path for path in MODULES if {"lensctl.io.workers", "lensctl.io.workers.each"} & set(imports(path))]
    assert len(starts) >= 10
    names = ", ".join(map(dotted, starts))
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


DRAWS = PACKAGE / "cli" / "tables.py"
"""Imported where a table is drawn, and rich with it."""


@pytest.mark.parametrize("path", sorted({*(PACKAGE / "cli").glob("*.py")} - {DRAWS}), ids=named)
def test_commands_import_nothing_heavy_before_they_run(path):
    light = {"__future__", "typing", "collections", "pathlib", "typer"}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                standard = name.split(".")[0] in light or name.split(".")[0] in sys.stdlib_module_names
                assert standard or name.startswith(("lensctl.cli", "lensctl.rules")) or name == "lensctl", name
                assert name != dotted(DRAWS)


def names_used(path: Path) -> set[str]:
    """Every dotted name of a file, such as `sys.stderr.write` and its beginnings."""
    tree = ast.parse(path.read_text())
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_the_library_does_not_print(path):
    said = names_used(path) & {"print", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "warnings.warn"}
    assert said - ({"sys.stdout"} if named(path) in PIPES else set()) == set()


VALUES = [path for path in LIBRARY if room(path) == "verb" or inside(path)[0] in ("rules", "stats", "astro", "frozen")]
CHANCE = re.compile(r"(np|numpy)\.random\.(?!Generator$|PCG64$|SeedSequence$|default_rng$|Philox$)\w+")


@pytest.mark.parametrize("path", VALUES, ids=named)
def test_values_depend_on_no_clock_no_environment_and_no_global_randomness(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"time", "random", "secrets", "uuid", "getpass", "socket", "platform"}
    used = names_used(path)
    clocks = {f"{kind}.{word}" for kind in ("datetime", "date", "datetime.datetime", "datetime.date") for word in
              ("now", "today", "utcnow")}  # fmt: skip
    assert not used & (clocks | {"os.environ", "os.getenv", "os.urandom", "os.getpid"})
    assert not [name for name in used if CHANCE.fullmatch(name)]
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if unseeded(node)]


def unseeded(node: ast.AST) -> bool:
    """Whether a node makes a random generator without a seed."""
    makes = isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("default_rng", "SeedSequence", "PCG64"))
    return makes and not (node.args or node.keywords)


def test_an_unseeded_generator_would_be_found():
    calls = {
        "np.random.default_rng()": True,
        "np.random.default_rng(seed)": False,
        "SeedSequence()": True,
        "f()": False,
    }
    assert {text: unseeded(ast.parse(text, mode="eval").body) for text in calls} == calls


def broad(handler: ast.AST) -> bool:
    """Whether a node catches, or suppresses, everything."""
    everything = {"Exception", "BaseException"}
    if isinstance(handler, ast.ExceptHandler):
        kinds = [] if handler.type is None else getattr(handler.type, "elts", [handler.type])
        caught = handler.type is None or bool({ast.unparse(kind) for kind in kinds} & everything)
        return caught and not any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    suppresses = isinstance(handler, ast.Call) and ast.unparse(handler.func).endswith("suppress")
    return suppresses and bool({ast.unparse(kind) for kind in handler.args} & everything)


def test_only_two_places_catch_everything():
    """Where endings become exit codes, and where torch unpickles bytes that may be no model."""
    found = [named(path) for path in MODULES for node in ast.walk(ast.parse(path.read_text())) if broad(node)]
    assert found == ["cli/main.py", "learning/torch_errors.py"]


def test_what_catches_everything_would_be_found():
    for text, expected in {
        "except:\n pass": True,
        "except Exception:\n pass": True,
        "except (OSError, Exception):\n pass": True,
        "except BaseException:\n clean()\n raise": False,
        "except OSError:\n pass": False,
    }.items():
        handler = ast.parse(f"try:\n pass\n{text}").body[0].handlers[0]
        assert broad(handler) is expected, text
    assert broad(ast.parse("suppress(Exception)", mode="eval").body)


def test_one_policy_says_how_often_a_service_is_asked_again():
    own = re.compile(r"max_attempts|max_retries|backoff_factor|status_forcelist|retry_timeout|init_backoff")
    assert [named(path) for path in MODULES if own.search(path.read_text())] == ["io/storage/retry.py"]


UNPACKERS = {
    r"json\.loads?\(": {"rules/config.py"},
    r"yaml\.(load|safe_load|full_load)\(": {"rules/config.py"},
    r"decompressobj\(|\bdecompress\(": {"io/unpacking.py"},
    r"gzip\.open\(": {"io/imaging/local_bricks.py", "show/files.py"},
    r"GzipFile\(": {"io/fits/tables.py", "emr/step_logs.py", "freeze/archive.py"},  # the last writes
    r"np\.load\(|NpzFile": set(),
    r"pq\.read_table\(": {"io/unpacking.py"},
}
"""What may swell, and the modules that know how large it may become: a new reader goes through one of them."""


@pytest.mark.parametrize("pattern", UNPACKERS)
def test_what_may_swell_is_unpacked_where_its_size_is_known(pattern):
    found = {named(path) for path in MODULES if re.search(pattern, path.read_text())}
    assert found == UNPACKERS[pattern]


def test_one_module_writes_the_mark_of_what_is_incomplete():
    assert [named(path) for path in MODULES if '"_INCOMPLETE"' in path.read_text()] == ["io/storage/incomplete.py"]


MOVES = re.compile(
    r"os\.(replace|rename|renames|link|symlink|rmdir|removedirs)|shutil\.(rmtree|move|copy\w*)|.*\.(rename|rmdir|symlink_to|hardlink_to)"
    r"|tempfile\.(mk\w+|Named\w+|Spooled\w+)"
)
WRITES = re.compile(r".*\.(write_text|write_bytes|touch)")
OPENS = re.compile(r"open|.*\.(open|fdopen|FileIO)")
WRITERS = {
    "io/storage/atomic.py": "the one writer of files",
    "io/storage/working_folders.py": "the one writer of folders",
    "io/storage/renames.py": "renames of both",
    "io/claims.py": "opens what may be claimed",
    "io/temporary.py": "makes and removes temporary folders",
    "io/storage/resumable.py": "notes in a working folder that it holds",
    "io/storage/growing_folders.py": "moves files of a scratch folder into a working folder",
    "io/storage/s3.py": "downloads to where the caller says",
    "io/storage/web.py": "downloads to where the caller says",
    "io/tables/files.py": "fills the part that the one writer gives",
    "io/cutouts/writer.py": "fills a working folder",
    "io/imaging/http_ranges.py": "downloads into a temporary folder",
    "learning/networks/checkpoint.py": "fills the part that the one writer gives",
    "cli/gate.py": "fills the part that the one writer gives",
    "cli/streams.py": "opens the null device",
    "cli/report.py": "opens the null device",
    "show/showing.py": "fills the part that the one writer gives",
    "sync/disk.py": "a staging folder that it holds, renamed file by file over what is copied",
    "pool/parts.py": "fills a working folder",
    "pool/output.py": "removes what a killed run made in the working folder",
    "evaluate/report/folder.py": "fills a working folder",
    "evaluate/report/ranking.py": "fills a working folder",
    "freeze/folder.py": "fills a working folder",
    "freeze/archive.py": "fills the part that the one writer gives",
    "frozen/layout.py": "fills a working folder",
    "selection/attaching.py": "fills a working folder",
    "selection/fitting/folder.py": "fills a working folder",
    "sky/mock.py": "fills a working folder",
    "sky/catalogs.py": "fills a working folder",
    "io/fits/new_files.py": "fills a working folder",
    "sky/lens_catalog.py": "fills a working folder",
    "search/finishing.py": "fills a working folder, and removes what a killed run made in it",
    "search/hats.py": "fills a working folder",
    "search/report/page.py": "fills a working folder",
    "gates/running.py": "fills the part that the one writer gives",
    "frozen/signature.py": "copies into a temporary folder",
    "emr/wheel.py": "copies into a temporary folder",
}
"""Modules that write, move or remove files, and why: outputs go through `whole_file`, `whole_folder` or `job`."""


def touches_files(path: Path) -> bool:
    """Whether a module writes, moves or removes files by itself."""
    return any(map(touches, ast.walk(ast.parse(path.read_text()))))


def touches(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    if MOVES.fullmatch(name) or WRITES.fullmatch(name):
        return True
    text = " ".join(ast.unparse(each) for each in [*node.args, *(each.value for each in node.keywords)])
    if name == "os.open":
        return "O_RDONLY" not in text
    return bool(OPENS.fullmatch(name) and re.search(r"'[rbt]*[wax][bt+]*'|'r[bt]*\+", text))


def test_only_named_modules_write_move_or_remove_files():
    assert {named(path) for path in MODULES if touches_files(path)} == set(WRITERS)


TEMPORARY = {
    "io/temporary.py": "tempfile.gettempdir tempfile.mkdtemp",
    "io/imaging/remote_bricks.py": "tempfile.TemporaryFile",
    "io/imaging/local_bricks.py": "tempfile.TemporaryFile",
}
"""Who makes temporary files: folders are made where those of killed processes are found again; one file has no name."""


def test_one_module_makes_temporary_folders():
    used = {named(path): sorted(name for name in names_used(path) if name.startswith("tempfile.")) for path in MODULES}
    assert {name: " ".join(found) for name, found in used.items() if found} == TEMPORARY
    assert not [named(path) for path in MODULES if "from tempfile" in path.read_text()]


def test_a_writer_would_be_found():
    for text, expected in {
        "os.replace(a, b)": True, "text.replace('a', 'b')": False, "shutil.rmtree(f)": True, "part.rename(b)": True,
        "tempfile.mkstemp()": True, "tempfile.TemporaryDirectory()": False, "f.write_text('a')": True,
        "open(f, 'w')": True, "f.open('wb', buffering=0)": True, "f.open(mode='x')": True, "f.open('rb')": False,
        "os.open(f, os.O_RDONLY)": False, "os.open(f, os.O_WRONLY | os.O_CREAT)": True, "open(f)": False,
    }.items():  # fmt: skip
        assert touches(ast.parse(text, mode="eval").body) is expected, text


SURVEYS_OWN = re.compile(r"\bgrz\b|\bls-dr\d+|26\.5|0\.262|32\.375")
SIDES = {"sky/render.py", "gates/shortcuts/features.py"}
"""Tables of sides in pixels, of which 101 is one."""


def literals(path: Path) -> list[object]:
    """Numbers and texts in the code of a module; docstrings are no code."""
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose]


@pytest.mark.parametrize("path", [path for path in MODULES if named(path) != "rules/survey.py"], ids=named)
def test_what_holds_for_one_survey_stands_in_rules_survey(path):
    values = literals(path)
    assert not [value for value in values if isinstance(value, str | float) and SURVEYS_OWN.search(str(value))]
    assert 101 not in values or named(path) in SIDES


def test_no_module_is_called_after_nothing():
    assert not [named(p) for p in MODULES if p.stem in {"utils", "util", "common", "helpers", "misc", "tools"}]


NOT_MIRRORED = {"toys", "benchmarks", "old_outputs", "cli", "vectors", "docs", "examples", "fuzz"}


def mirrored() -> list[Path]:
    tests = ROOT / "tests"
    return [path for path in tests.rglob("test_*.py") if path.relative_to(tests).parts[0] not in NOT_MIRRORED]


@pytest.mark.parametrize("path", mirrored(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_file_has_the_name_and_place_of_what_it_tests(path):
    """`tests/io/fits/test_rice.py` tests `lensctl/io/fits/rice.py`; more than one file has the name and an addition."""
    folder, name = path.parent.relative_to(ROOT / "tests"), path.stem.removeprefix("test_")
    if folder == Path() and name in ("house", "contracts", "pipeline"):
        return
    there = {module.stem for module in (PACKAGE / folder).glob("*.py")} | {"every_gate", "bootstrap"}
    there |= {module.name for module in (PACKAGE / folder).iterdir() if module.is_dir()}
    assert any(name == module or name.startswith(f"{module}_") for module in there), sorted(there)


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "tests" / "cli").glob("test_*.py")))
def test_a_command_is_tested_under_its_name(name):
    assert (PACKAGE / "cli" / f"{name.removeprefix('test_')}.py").is_file()


def test_no_gate_draws_in_the_order_by_which_its_rows_were_chosen():
    """Chosen rows are those of the lowest keys: a draw by the same keys is no draw."""
    gates = [path for path in MODULES if inside(path)[0] == "gates"]
    assert [named(path) for path in gates if "order_key" in path.read_text() or "order_sql" in path.read_text()] == []
