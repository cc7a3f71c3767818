"""Contracts every command keeps: its example works, nothing is overwritten, same bytes twice, errors in a sentence.

The examples of the help texts, run in order, are a pipeline on a small mock sky; the other tests build on its outputs.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer

from lensctl.cli.command import app
from lensctl.cli.main import COMMANDS
from lensctl.rules import schema
from tests.toys.processes import begin, plant

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.usefixtures("on_the_path")
ONE = " --workers 1"  # a process more imports everything anew; what any number of them gives is a test of each command
BEFORE = {  # what an example needs that no example before it makes
    "sync": [f"lensctl cutout negatives.parquet negatives.zarr --source coadd --root sky{ONE}"],
    "inject": [
        f"lensctl cutout hosts.parquet hosts.zarr --source coadd --root sky --planes invvar{ONE}",
    ],
    "selection": [f"lensctl score run injected.zarr scored.parquet{ONE}"],
    "freeze": [
        "lensctl gate pool pool.parquet --set pool.min_rows=10 > gates.jsonl || true",
        "lensctl gate splits,overlap,pixels,homogeneity,weights,shortcut manifest.parquet >> gates.jsonl || true",
        "lensctl gate trained evaluation >> gates.jsonl || true",
    ],
}
ORDER = [
    "sky", "crossmatch", "pool", "sample", "cutout", "hosts", "inject", "export", "pack", "sync", "manifest", "gate",
    "train", "score", "selection", "evaluate", "freeze", "verify", "search", "emr", "show", "doctor",
]  # fmt: skip
ADDED = {  # so that it is quick: of an option given twice the last counts
    "sky": f" --galaxies 900{ONE}",
    "train": " --epochs 2 --batch-size 64",
    "freeze": " --allow-failed 'a test on a very small sky'",
    **dict.fromkeys(["crossmatch", "pool", "cutout", "inject", "export", "pack", "score", "search"], ONE),
}
VERDICT = {"gate"}  # a small sky may fail a gate: 0 and 1 are both an answer
OUTPUT = {
    "sky": "sky",
    "crossmatch": "positives.parquet",
    "pool": "pool.parquet",
    "sample": "negatives.parquet",
    "cutout": "positives.zarr",
    "inject": "injected.zarr",
    "export": "npz",
    "pack": "packed.zarr",
    "sync": "mirror/negatives.zarr",
    "manifest": "manifest.parquet",
    "train": "run",
    "score": "scores.parquet",
    "evaluate": "evaluation",
    "freeze": "frozen",
    "search": "found",
    "hosts": "hosts.parquet",
    "selection": "arcs.parquet",
}
QUICK = {"crossmatch", "sample", "manifest", "gate", "evaluate", "verify", "show"}
"""A table, a folder and a verdict: what all commands print is printed in one place, so soak takes the rest."""
SOME = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.soak]) for name in ORDER]
REPEATED_ELSEWHERE = {"sky", "train", "search", "evaluate", "emr", "doctor"}
"""Long ones, whose own tests run them twice; or, of doctor, that say nothing that stays."""
TWICE = [pytest.param(name, marks=[pytest.mark.soak] if name in REPEATED_ELSEWHERE else []) for name in ORDER]
NO_OUTPUT = {"gate", "verify", "emr", "show", "doctor"}
"""Commands that say something on stdout, and make nothing by their example."""
RESUMED = {"pool", "cutout", "inject", "sync", "search"}  # the same again is "nothing to do", not "exists"


def shell(line: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a person would, with lensctl on the path."""
    environment = {**os.environ, "COLUMNS": "80", **env}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def example(name: str) -> str:
    """The example in a command's help, as one line."""
    text = shell(f"lensctl {name} --help", ROOT).stdout
    found = re.search(r"Example: (lensctl (?:.|\\\n)*?)\n(?:\n|$)", text)
    assert found, f"the help of {name} has no example"
    return re.sub(r"\\\n\s*", "", found.group(1)).strip()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, on_the_path):
    """A folder in which every example has been run, in order, and what each said."""
    folder = tmp_path_factory.mktemp("pipeline")
    said = {}
    for name in ORDER:
        for line in BEFORE.get(name, []):
            done = shell(line, folder)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
        said[name] = shell(example(name) + ADDED.get(name, ""), folder)
    return folder, said


def test_every_command_is_in_the_order():
    assert set(ORDER) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name):
    importlib.import_module(f"lensctl.cli.{name}")
    assert typer.main.get_command(app).commands[name].help.splitlines()[0] == COMMANDS[name]
    assert len(f"  {'crossmatch':10}  {COMMANDS[name]}") <= 80, "the list of commands cuts it short"


@pytest.mark.parametrize("name", ORDER)
def test_the_example_in_the_help_works_and_stdout_is_json_lines(pipeline, name):
    _, said = pipeline
    done = said[name]
    assert done.returncode in ((0, 1) if name in VERDICT else (0,)), done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines
    if name not in ("gate", "verify"):
        assert len(lines) == 1
        assert lines[0]["command"] == name
        assert "seconds" in lines[0]


@pytest.mark.parametrize("name", ORDER)
def test_the_tables_of_an_example_fit_80_columns(pipeline, name):
    """What is longer is a sentence: the cells of a row are two blanks apart."""
    _, said = pipeline
    assert [line for line in said[name].stderr.splitlines() if len(line) > 80 and "  " in line.strip()] == []


def tree(path: Path) -> dict[str, bytes]:
    """Every file below a path (or the file itself) and its bytes."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("name", OUTPUT)
def test_an_existing_output_is_refused_and_left_alone_or_there_is_nothing_to_do(pipeline, name):
    folder, _ = pipeline
    before = tree(folder / OUTPUT[name])
    again = shell(example(name) + ADDED.get(name, ""), folder)
    if name in RESUMED:
        assert again.returncode == 0, again.stderr
        assert "nothing to do" in again.stderr
    else:
        assert again.returncode == 2
        assert re.search(r"error: .*exists", again.stderr)
    assert tree(folder / OUTPUT[name]) == before


def elsewhere(name: str, line: str, prefix: str) -> str:
    """A command line with another output, of a name with this prefix."""
    before, found, after = f"{line} ".rpartition(f" {OUTPUT.get(name)} ")
    return f"{before} {prefix}-{Path(OUTPUT[name]).name} {after}" if found else line


def repeated(name: str, prefix: str, option: str = "") -> str:
    """A command's example with one more option and another output."""
    line = re.sub(r"^lensctl (emr |selection )?\w+", rf"\g<0> {option}", example(name)) + ADDED.get(name, "")
    return f"{line} --overwrite" if name == "show" else elsewhere(name, line, prefix)


@pytest.mark.parametrize("name", TWICE)
def test_a_second_time_and_quietly_an_example_gives_the_same_bytes_and_answer_and_nothing_on_stderr(pipeline, name):
    """Under another name too: no output holds its own."""
    folder, said = pipeline
    done = shell(repeated(name, "quiet", "--quiet"), folder)
    assert (done.returncode, done.stderr) == (said[name].returncode, "")
    assert facts(name, done.stdout) == facts(name, said[name].stdout)
    if name in OUTPUT:
        first = folder / OUTPUT[name]
        mine, theirs = tree(first), tree(folder / f"quiet-{first.name}")
        assert mine.keys() == theirs.keys()
        assert [file for file in mine if mine[file] != theirs[file] and file not in ALLOWED] == []


@pytest.mark.parametrize("name", SOME)
def test_an_example_needs_neither_stdin_nor_stderr(pipeline, name):
    folder, said = pipeline
    done = shell(f"{repeated(name, 'deaf')} <&- 2>&-", folder)
    assert done.returncode == said[name].returncode
    assert facts(name, done.stdout) == facts(name, said[name].stdout)


@pytest.mark.parametrize("name", SOME)
def test_an_example_whose_answer_cannot_be_written_is_exit_2(pipeline, name):
    """Neither a bug, nor a gate's "no"."""
    folder, _ = pipeline
    done = shell(f"{repeated(name, 'full')} >/dev/full", folder)
    assert done.returncode == 2
    assert "error: stdout cannot be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr


UNLIKE = ("output", "seconds", "rows_per_second")


def facts(name: str, stdout: str) -> list[dict[str, object]] | None:
    """What a command says on stdout without its output and its speed; None for doctor: disk and memory change."""
    if name == "doctor":
        return None
    lines = map(json.loads, stdout.splitlines())
    return [{key: value for key, value in line.items() if key not in UNLIKE} for line in lines]


ALLOWED = {"metrics.jsonl", "metrics.csv"}  # of a run: they tell the seconds of each epoch


@pytest.mark.parametrize("name", OUTPUT)
@pytest.mark.parametrize("kind", ["link to a folder", "folder"])
def test_what_is_planted_beside_an_output_is_not_touched(pipeline, name, kind):
    """A file is written beside it; anything that needs this name refuses it, and names it."""
    folder, _ = pipeline
    output = folder / f"planted-{Path(OUTPUT[name]).name}"
    place, victim = output.with_name(f".{output.name}.part"), folder / "victim"
    if name == "sync":
        output.mkdir()
        place = output / ".lensctl-sync.part"
    plant(kind, place, victim)
    before = {path: path.read_bytes() for path in (*victim.rglob("*"), *place.rglob("*")) if path.is_file()}
    try:
        done = shell(elsewhere(name, example(name) + ADDED.get(name, ""), "planted"), folder)
        if done.returncode == 0:
            assert output.is_file()
        else:
            assert done.returncode == 2, done.stderr
            assert f"error: {place.relative_to(folder)} is in the way" in done.stderr
        assert {path: path.read_bytes() for path in (*victim.rglob("*"), *place.rglob("*")) if path.is_file()} == before
        assert place.is_symlink() == (kind != "folder")
    finally:
        shutil.rmtree(victim)
        place.unlink() if place.is_symlink() else shutil.rmtree(place)
        shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)


@pytest.mark.parametrize("name", OUTPUT)
def test_the_mode_of_an_output_is_that_of_the_umask(pipeline, name):
    folder, _ = pipeline
    umask = os.umask(0)
    os.umask(umask)
    file_mode = 0o444 if name == "freeze" else 0o666
    for path in (folder / OUTPUT[name], *(folder / OUTPUT[name]).rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else file_mode) & ~umask, path


@pytest.mark.parametrize("name", OUTPUT)
def test_no_output_holds_an_absolute_path_of_this_machine(pipeline, name):
    folder, _ = pipeline
    for file, content in tree(folder / OUTPUT[name]).items():
        assert str(folder).encode() not in content, file
        assert str(ROOT).encode() not in content, file


def test_every_column_that_a_command_writes_has_its_meaning(pipeline):
    """As `show` and docs/reference/files.md tell it; tables of an evaluation have theirs there, table by table."""
    folder, _ = pipeline
    files = [path for path in folder.rglob("*.parquet") if not {"south", "tables"} & set(path.parts)]
    columns = {name for path in files for name in pq.read_schema(path).names}
    told = {name for name, _, _, meaning in schema.describe(columns) if meaning}
    assert len(told) > 80
    assert [name for name in sorted(columns - told) if not re.match(r"meta_|logit_\d", name)] == []


def test_every_command_is_tested_for_its_output_and_its_bad_inputs_or_says_why_not():
    assert set(OUTPUT) | NO_OUTPUT == set(COMMANDS)
    assert set(BAD) | NO_INPUT == set(COMMANDS)
    assert not set(OUTPUT) & NO_OUTPUT
    assert not set(BAD) & NO_INPUT


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_a_sentence_and_exit_2(name, lensctl):
    done = lensctl(name, "--no-such-option")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_config_key_is_a_sentence_and_exit_2(name, lensctl, tmp_path):
    (tmp_path / "c.yaml").write_text("overwrit: true\nzzz: 1\n")
    done = lensctl(name, "--config", "c.yaml")
    assert done.returncode == 2
    assert "c.yaml: no setting 'overwrit'" in done.stderr
    assert done.stdout == ""


BAD = {
    "crossmatch": "lensctl crossmatch {bad} 'sky/south/tractor/*/*.fits' out",
    "pool": "lensctl pool {bad} out --lenses sky/lenses.csv",
    "sample": "lensctl sample {bad} out --positives positives.parquet",
    "cutout": "lensctl cutout {bad} out --source coadd --root sky",
    "inject": "lensctl inject {bad} hosts.zarr out",
    "pack": "lensctl pack {bad} out",
    "export": "lensctl export {bad} out",
    "sync": "lensctl sync {bad} out",
    "manifest": "lensctl manifest out --positives {bad} positives.zarr --negatives negatives.parquet negatives.zarr",
    "gate": "lensctl gate splits {bad}",
    "train": "lensctl train {bad} out",
    "score": "lensctl score {bad} manifest.parquet out",
    "evaluate": "lensctl evaluate {bad} out",
    "freeze": "lensctl freeze {bad} out --evaluation evaluation --gates gates.jsonl",
    "verify": "lensctl verify {bad}",
    "search": "lensctl search frozen {bad} out --root sky",
    "hosts": "lensctl hosts {bad} out --lenses sky/lenses.csv",
    "selection": "lensctl selection observe {bad} injected.zarr out",
    "show": "lensctl show {bad}",
}
NO_INPUT = {"sky", "emr", "doctor"}
"""Commands that read no file."""


def missing(folder: Path) -> str:
    return "nowhere/nothing.parquet"


def truncated(folder: Path) -> str:
    (folder / "cut.parquet").write_bytes((folder / "pool.parquet").read_bytes()[:-200])
    return "cut.parquet"


def wrong_columns(folder: Path) -> str:
    (folder / "wrong.csv").write_text("a,b\n1,2\n")
    return "wrong.csv"


def empty(folder: Path) -> str:
    (folder / "empty.csv").write_text("galaxy_id,ra,dec\n")
    return "empty.csv"


def empty_folder(folder: Path) -> str:
    (folder / "hollow").mkdir(exist_ok=True)
    return "hollow"


STATUS = {
    **{("sync", make): 0 for make in (truncated, wrong_columns, empty)},  # any file may be copied
    **{("show", make): 0 for make in (wrong_columns, empty, empty_folder)},  # and described
    ("verify", empty_folder): 1,
}
"""Exit status where it is not 2."""


@pytest.mark.parametrize("make", [missing, truncated, wrong_columns, empty, empty_folder])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_exit_2_and_nothing_written(pipeline, name, make):
    folder, _ = pipeline
    bad = make(folder)
    before = {p.name for p in folder.iterdir()}
    done = shell(BAD[name].format(bad=bad), folder)
    assert done.returncode == STATUS.get((name, make), 2), done.stderr
    if done.returncode == 2:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("error: ", "  fix: "))]
        assert lines, done.stderr
        assert lines[0].startswith("error: ")
        assert {p.name for p in folder.iterdir()} == before
    assert "Traceback" not in done.stderr
    for left in ("out",):
        if (folder / left).exists():
            shutil.rmtree(folder / left) if (folder / left).is_dir() else (folder / left).unlink()


def test_a_real_shell_pipeline(pipeline):
    folder, _ = pipeline
    sample = "lensctl sample pool.parquet - --positives positives.parquet --negatives-per-positive 2"
    done = shell(f"{sample} | lensctl cutout - piped.zarr --source coadd --root sky", folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["command"] == "cutout"
    chain = json.loads(shell("lensctl show --json piped.zarr", folder).stdout)
    steps = [step["command"] for step in chain["provenance"]]
    assert (steps[-1], {"crossmatch", "pool", "sample"} - set(steps)) == ("cutout", set())


def test_a_reader_that_leaves_early_ends_the_writer_with_141(pipeline):
    folder, _ = pipeline
    line = "lensctl pool 'sky/south/sweep/10.0/*.fits' - --lenses sky/lenses.csv --format csv 2>/dev/null"
    done = shell(f"{line} | true; echo ${{PIPESTATUS[0]}}", folder)
    assert done.stdout.strip() == "141"


def test_a_writer_that_dies_is_noticed_by_the_reader(pipeline):
    folder, _ = pipeline
    done = shell(
        "lensctl sample pool.parquet - --positives positives.parquet --negatives-per-positive 3 | head -c 20000"
        " | lensctl cutout - short.zarr --source coadd --root sky",
        folder,
    )
    assert done.returncode != 0
    assert "error: stdin" in done.stderr or "error: the stream ended" in done.stderr
    assert not (folder / "short.zarr").exists()


def test_options_win_over_the_config_which_wins_over_defaults(pipeline):
    folder, _ = pipeline
    (folder / "s.yaml").write_text(
        "negatives_per_positive: 2\nn1-n2-ratio: [0.5, 0.5]\nstratification_bins:\n  type: [SER]\n"
    )
    base = "lensctl sample pool.parquet s.parquet --positives positives.parquet --overwrite --config s.yaml"
    steps = []
    for line in (base, f"{base} --negatives-per-positive 3"):
        done = shell(line, folder)
        assert done.returncode == 0, done.stderr
        steps.append(json.loads(shell("lensctl show --json s.parquet", folder).stdout)["provenance"][-1]["parameters"])
    assert [step["negatives_per_positive"] for step in steps] == [2, 3]
    assert steps[0]["n1_n2_ratio"] == [0.5, 0.5]
    assert steps[0]["stratification_bins"] == ["type=SER"]


def test_an_interrupted_command_ends_with_130(pipeline):
    folder, _ = pipeline
    running = begin("train", "manifest.parquet", "interrupted", "--epochs", "10000", cwd=folder)
    while not (folder / ".interrupted.part").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said


def test_help_costs_little_more_than_its_libraries():
    """The heaviest imports of `--help` are typer and rich; the ratio is measured by `make bench`."""
    code = (
        "import sys; sys.argv = ['lensctl', '--help']; from lensctl.cli.main import main; main(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "numpy",
        "pyarrow",
        "duckdb",
        "torch",
        "astropy",
        "healpy",
        "scipy",
        "boto3",
        "zarr",
        "matplotlib",
        "aiohttp",
    }
    assert heavy & set(done.stdout.split()) == set()
