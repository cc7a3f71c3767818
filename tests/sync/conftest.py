"""A folder to copy, and a hostile S3."""

from __future__ import annotations

import pytest

from lensctl.io.storage import s3
from tests.toys.fake_s3 import serve
from tests.toys.sync import FILES, fill


@pytest.fixture
def source(tmp_path):
    return fill(tmp_path / "source", FILES)


@pytest.fixture(scope="package")
def server():
    with serve() as served:
        yield served


@pytest.fixture
def fake(server, monkeypatch):
    """A hostile S3, empty and well-behaved at first; `s3://b/` reaches it."""
    server.reset()
    facts = {"ENDPOINT_URL": server.endpoint, "REGION": "us-east-1", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
    for name, value in facts.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3.account.cache_clear()
    yield server
    s3.account.cache_clear()
