"""EMR, EC2 and S3 on this machine: moto's server, and what a cluster does with a step, done by a local Spark."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REGION = "us-east-2"
BUCKET = "survey"
STAGING = f"s3://{BUCKET}/emr"
SAMPLE = ("sample", "s3://survey/pool", "s3://survey/drawn.parquet", "--positives", "s3://survey/positives.parquet")
JAVA = shutil.which("java") is not None or "JAVA_HOME" in os.environ


@dataclass(frozen=True)
class Toy:
    """A region with a subnet and a bucket in it."""

    env: dict[str, str]
    subnet: str

    def client(self, service: str, region: str = REGION) -> Any:
        import boto3

        session = boto3.Session("tester", "not-a-secret", region_name=region)
        return session.client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"])

    def cluster(self, id: str) -> Any:
        """What moto holds of a cluster (in a region of its own choice): to be changed as EMR itself would."""
        from moto.emr.models import emr_backends

        regions = [region for account in emr_backends.values() for region in account.values()]
        return next(region.clusters[id] for region in regions if id in region.clusters)

    def put(self, key: str, data: bytes) -> None:
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, url: str) -> bytes:
        bucket, key = url.removeprefix("s3://").split("/", 1)
        return self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()

    def do(self, cluster: str, folder: Path) -> int:
        """Do the first step of a cluster that is RUNNING: install the wheel as the bootstrap does, and spark-submit."""
        step = next(step for step in self.cluster(cluster).steps if step.state in ("RUNNING", "PENDING"))
        action = self.client("emr").list_bootstrap_actions(ClusterId=cluster)["BootstrapActions"][0]
        node = install(self.get(action["Args"][0]), action["Args"][0].rsplit("/", 1)[-1], folder / cluster)
        words = list(step.args)
        place = next(n for n, word in enumerate(words) if word.endswith("/step.py"))
        (folder / cluster / "step.py").write_bytes(self.get(words[place]))
        words[place] = str(folder / cluster / "step.py")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {
            **os.environ,
            **self.env,
            "PATH": path,
            "PYTHONPATH": str(node),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        done = subprocess.run(words, env=env, cwd=folder / cluster, capture_output=True, check=False)
        for name, said in (("stdout", done.stdout), ("stderr", done.stderr)):
            self.put(f"emr/logs/{cluster}/steps/{step.id}/{name}.gz", gzip.compress(said))
        step.state = "FAILED" if done.returncode else "COMPLETED"
        return done.returncode


def install(wheel: bytes, name: str, folder: Path) -> Path:
    """Install a wheel in a folder of its own, as pip does on a node."""
    node = folder / "node"
    if not node.is_dir():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(wheel)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
        subprocess.run([*pip, "--target", str(node), str(folder / name)], check=True)
    return node


@contextlib.contextmanager
def region() -> Iterator[Toy]:
    """Serve AWS on a free port of 127.0.0.1 until the block ends."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        env = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        toy = Toy(env, "")
        reset = urllib.request.Request(f"{env['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()  # all of moto's servers in a process have one memory
        toy.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield Toy(env, toy.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"])
    finally:
        server.stop()


def told(done):
    """The JSON line of a command that went well."""
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def refused(done, *words):
    """Whether a command ended with 2, one error and its remedy, nothing on stdout."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    said = done.stderr[done.stderr.index("error: ") :]
    assert "  fix: " in said
    for word in words:
        assert word in said, said
