"""The notebook runs from a mock sky to a verified model, stops where a gate says no, and takes the Makefile's steps."""

from __future__ import annotations

import ast
import base64
import importlib
import inspect
import io
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import IPython.display
import nbformat
import numpy as np
import pytest
import yaml
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from matplotlib.image import imread
from nbclient import NotebookClient

from lensctl.cli.main import COMMANDS
from lensctl.learning.training.settings import TrainConfig
from lensctl.sky.mock import LENS_SHARE, sky
from lensctl.verify import verify

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "notebook.ipynb"

RECIPE = {"arch": "shielded", "crop": 32, "normalise": "asinh", "epochs": 3, "batch_size": 32, "positive_share": 0.4}
SMALL = {
    "GALAXIES": 900,
    "LENSES": 100,
    "NEGATIVES_PER_POSITIVE": 3,
    "RECIPE": RECIPE,
    "LIMITS": [
        *("pool.min_rows=100", "pool.n2=0,1", "pool.train=0,1", "pool.val=0,1", "pool.test=0,1"),
        *("splits.train=0,1", "splits.val=0,1", "splits.test=0,1"),
        *("pixels.max_failed=0.1", "shortcut.min_positives=10"),
        *("trained.min_recall=0", "trained.min_auc=0", "trained.max_fpr=1"),
        *("trained.max_ece=1", "trained.max_ece_positive=1"),
    ],
}
"""A sky of seconds, three epochs, and limits that so few galaxies can meet."""

COLOURS = {"look": 1000, "curve": 2, "histogram": 2}
"""The cells that draw, and how many colours that are no greys they show at least; cutouts have thousands."""

HOMES = ("HOME", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR")
"""Variables that say where a kernel and what it imports keep files of their own."""


def committed() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


def code_cells(notebook: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


def parameters(work: Path, **changed: object) -> str:
    """Source of the cell of parameters for a small sky."""
    values = {**SMALL, **changed}
    lines = [f"{name} = {value!r}" for name, value in values.items()]
    return "\n".join(["from pathlib import Path", f"WORK = Path({str(work)!r})", *lines])


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells in a kernel of this interpreter that writes below the folder and listens to this machine alone."""
    env = os.environ | {name: str(folder / "homes" / name) for name in HOMES}
    env |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "OMP_WAIT_POLICY": "PASSIVE"}
    spec = folder / "kernels" / "python3"
    for made in (spec, *(Path(env[name]) for name in HOMES)):
        made.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    with tempfile.TemporaryDirectory(prefix="nb") as short:  # a socket's path has 107 characters at most
        manager = AsyncKernelManager(
            kernel_name=notebook.metadata.kernelspec.name,
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(spec.parent)], ensure_native_kernel=False),
            connection_file=f"{short}/kernel.json",
            transport="ipc",
            ip=f"{short}/kernel",
        )
        client = NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": str(folder)}})
        client.execute(env=env, cleanup_kc=True)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook") / "work"


@pytest.fixture(scope="module")
def executed(work):
    """The notebook as run on a small sky, with its outputs."""
    notebook = committed()
    code_cells(notebook)["parameters"].source = parameters(work)
    execute(notebook, work.parent)
    return notebook


def test_it_runs_to_a_frozen_model_that_verifies(executed, work):
    for name, cell in code_cells(executed).items():
        assert cell.execution_count, name
        assert not [out for out in cell.outputs if out.output_type == "error"], name
    assert verify(work / "frozen", device="cpu")["passed"]


def test_what_it_draws_is_not_blank(executed):
    drawn = {name: cell for name, cell in code_cells(executed).items() if "plt." in cell.source}
    assert drawn.keys() == COLOURS.keys()
    for name, cell in drawn.items():
        (png,) = [out.data["image/png"] for out in cell.outputs if "image/png" in out.get("data", {})]
        picture = imread(io.BytesIO(base64.b64decode(png)), format="png")
        colours = np.unique(picture[..., :3].reshape(-1, 3), axis=0)
        assert (np.ptp(colours, axis=1) > 0.2).sum() >= COLOURS[name], name


def shown(executed, name):
    """All that a cell shows, as text."""
    data = [out.data for out in code_cells(executed)[name].outputs if "data" in out]
    return "\n".join(each.get("text/markdown", each["text/plain"]) for each in data)


def test_it_shows_receipts_epochs_verdicts_and_results(executed):
    for name in ("sky", "crossmatch", "pool", "sample", "manifest", "train", "score", "evaluate", "freeze"):
        assert f"'command': '{name}'" in shown(executed, name)
    assert re.findall(r"epoch (\d+): validation AUC 0\.\d{3}", shown(executed, "train")) == ["1", "2", "3"]
    assert "| pool | 11 | 11 | 0 |" in shown(executed, "gate-pool")
    assert re.search(r"\| shortcut \| (\d+) \| \1 \| 0 \|", shown(executed, "gate-manifest"))
    assert re.search(r"\| Tier-A AUC \| [01]", shown(executed, "results"))


@pytest.fixture
def copied(executed, work, tmp_path):
    """What the notebook made, to be spoiled."""
    folder = tmp_path / "work"
    shutil.copytree(work, folder)
    return folder


@pytest.fixture
def stopped(copied, monkeypatch):
    """Run one cell in this process, see its `assert` stop it, and give what it had shown before."""
    said: list[str] = []
    monkeypatch.setattr(IPython.display, "display", lambda thing: said.append(thing.data))

    def run(name, limit=None):
        cells = {each: cell.source for each, cell in code_cells(committed()).items()}
        cells["parameters"] = parameters(copied, LIMITS=[*SMALL["LIMITS"], *filter(None, [limit])])
        place: dict[str, object] = {}
        for before in ("parameters", "imports", "functions"):
            exec(cells[before], place)
        with pytest.raises(AssertionError, match="^the (pool|manifest|model|frozen model) "):
            exec(cells[name], place)
        return "\n".join(said)

    return run


@pytest.mark.parametrize(
    ("cell", "limit", "failed"),
    [
        ("gate-pool", "pool.min_rows=1000000", "| pool | rows to judge |"),
        ("gate-manifest", "pixels.max_failed=0", "| pixels | share marked as failed |"),
        ("gate-trained", "trained.min_auc=1.01", "| trained | tier-A AUC |"),
    ],
    ids=("pool", "manifest", "trained"),
)
def test_where_a_gate_says_no_it_shows_the_check_and_stops(stopped, cell, limit, failed):
    assert failed in stopped(cell, limit)


def test_where_the_frozen_model_has_changed_it_shows_the_check_and_stops(stopped, copied):
    with (copied / "frozen" / "README.md").open("a") as file:
        file.write("one line more\n")
    assert "| verify | no file was touched |" in stopped("verify")


def test_it_is_committed_without_outputs_and_traces_of_a_machine():
    notebook = committed()
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id), "a name, which stays when the notebook is saved"
        assert cell.metadata == ({"tags": ["parameters"]} if cell.id == "parameters" else {})
    for name, cell in code_cells(notebook).items():
        assert (cell.outputs, cell.execution_count) == ([], None), name
    assert not re.search(r"/(home|root|tmp|Users|work)/|[A-Z]:\\\\", NOTEBOOK.read_text())


def trees() -> list[ast.Module]:
    return [ast.parse(cell.source) for cell in code_cells(committed()).values()]


def imports_of_lensctl(tree: ast.AST) -> dict[str, str]:
    """Name to module of all `from lensctl… import …`."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.name: node.module for node in found for alias in node.names if node.module.startswith("lensctl")}


def calls() -> list[tuple[str, list[object]]]:
    """Name and literal arguments of every call of a name, in order."""
    nodes = [node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        (node.func.id, [arg.value for arg in node.args if isinstance(arg, ast.Constant)])
        for node in nodes
        if isinstance(node.func, ast.Name)
    ]


def imported() -> dict[str, str]:
    return {name: module for tree in trees() for name, module in imports_of_lensctl(tree).items()}


def test_its_steps_are_those_of_the_makefile_but_for_those_it_says_it_leaves_out():
    makefile = (EXAMPLES / "Makefile").read_text()
    steps = set(re.findall(r"^\tlensctl (\w+)", makefile, re.MULTILINE))
    (sentence,) = re.findall(r"leaves out (.+?), which", "".join(cell.source for cell in committed().cells))
    left_out = set(re.findall(r"`lensctl (\w+)`", sentence))
    taken = {name for name, _ in calls()} & imported().keys() & COMMANDS.keys()
    assert steps > left_out
    assert taken == steps - left_out
    gates = re.findall(r"^\tlensctl gate (?!injection|realism)([\w,]+)", makefile, re.MULTILINE)
    assert sorted(args[0] for name, args in calls() if name == "gate") == sorted(gates)


def test_its_settings_are_those_of_the_makefile():
    settings: dict[str, object] = {}
    exec(code_cells(committed())["parameters"].source, settings)
    config = {name: yaml.safe_load((EXAMPLES / "configs" / f"{name}.yaml").read_text()) for name in ("gates", "sample")}
    train = yaml.safe_load((EXAMPLES / "configs" / "train.yaml").read_text())
    assert settings["WORK"] == Path("work")
    assert settings["GALAXIES"] == inspect.signature(sky).parameters["galaxies"].default
    assert settings["LENSES"] == round(LENS_SHARE * settings["GALAXIES"])
    assert settings["LIMITS"] == config["gates"]["set"]
    assert settings["NEGATIVES_PER_POSITIVE"] == config["sample"]["negatives_per_positive"]
    assert TrainConfig(**settings["RECIPE"]) == TrainConfig(**train)
    assert settings.keys() - {"__builtins__", "Path", "WORK"} == SMALL.keys()


def test_all_it_uses_of_lensctl_is_imported_from_a_public_place():
    """A command's function from where docs/api.md says, and all else from where it is defined."""
    documented = (ROOT / "docs" / "api.md").read_text()
    for name, module in imported().items():
        assert not any(part.startswith("_") for part in (*module.split("."), name)), module
        if name in COMMANDS:
            assert f"| `{module}` | `{name}(" in documented
        elif not (ROOT / module.replace(".", "/") / f"{name}.py").exists():
            assert getattr(importlib.import_module(module), name).__module__ == module
    whole = [node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert not [alias.name for node in whole for alias in node.names if alias.name.startswith("lensctl")]
