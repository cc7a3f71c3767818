"""A frozen toy, made-up hosts and injections into them, each made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lensctl.inject import inject
from lensctl.score import score
from tests.toys import frozen
from tests.toys.hosts import Hosts, make_hosts


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """Folder of a frozen model of the tiny network."""
    return frozen.bundle(tmp_path_factory) / "frozen"


@pytest.fixture(scope="session")
def hosts(tmp_path_factory) -> Hosts:
    return make_hosts(tmp_path_factory.mktemp("hosts"), count=9)


@pytest.fixture(scope="session")
def injected(hosts, tmp_path_factory) -> Path:
    """A store of 18 injections."""
    out = tmp_path_factory.mktemp("injected") / "injected.zarr"
    inject(hosts.table, hosts.store, out, per_host=2, workers=1)
    return out


@pytest.fixture(scope="session")
def scores(injected, model, tmp_path_factory) -> Path:
    """Their scores, with the embedding."""
    out = tmp_path_factory.mktemp("scores") / "scores.parquet"
    with frozen.tiny_network():
        score(model, injected, out, embedding=True, device="cpu", threads=1)
    return out
