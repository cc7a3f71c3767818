"""One small survey and one frozen toy for all tests of the search."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toys import searches


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sky/, t.parquet and lenses.csv: not to be changed."""
    return searches.make(tmp_path_factory.mktemp("survey"))


@pytest.fixture
def here(survey: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the survey and frozen/, in which this process is."""
    for name in ("sky", "t.parquet", "lenses.csv"):
        (tmp_path / name).symlink_to(survey / name)
    (tmp_path / "frozen").symlink_to(bundle / "frozen")
    monkeypatch.chdir(tmp_path)
    return tmp_path
