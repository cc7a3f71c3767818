"""`lensctl` without the seconds that its imports take: a process that has imported everything forks for each command.

What a shell hands to a program reaches the fork: words, folder, environment, umask, and stdin, stdout and stderr as
they are, closed ones too. Tests of signals, of threads and of starting itself run `python -m lensctl`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "aiohttp", "astropy.io.ascii", "astropy.io.fits.hdu.compressed._codecs", "astropy.io.votable", "boto3", "duckdb",
    "encodings.idna", "fitsio", "healpy", "model_signing.signing", "model_signing.verifying", "obstore",
    "pyarrow.compute", "pyarrow.csv", "pyarrow.dataset", "pyarrow.json", "pyarrow.parquet", "pydantic.json_schema",
    "scipy.stats", "sklearn.linear_model", "tenacity", "tensorstore", "torch", "torchvision", "typer._adapters", "zarr",
)  # fmt: skip
"""What commands import while they run."""

CLIENT = """
import json, os, socket, sys

streams = []
for number in range(3):
    try:
        os.fstat(number)
        streams.append(number)
    except OSError:
        pass
os.umask(umask := os.umask(0))
told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), umask, streams]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({place!r})
    socket.send_fds(server, [b"."], streams) if streams else server.send(b".")
    server.sendall(told)
    server.shutdown(socket.SHUT_WR)
    for number in streams:
        os.close(number)
    status = int(server.recv(16))
os._exit(status) if status >= 0 else os.kill(os.getpid(), -status)
"""


@contextmanager
def program(*, is_tiny: bool = False) -> Iterator[Path]:
    """A `lensctl`, of a folder with no other program, for as long as its warm process runs.

    With `is_tiny` its ResNet-18 is the tiny network of `tests.toys.frozen`.
    """
    with tempfile.TemporaryDirectory(prefix="lensctl-", dir="/tmp") as folder:  # the path of a socket must be short
        place, client, script = f"{folder}/socket", Path(folder, "client.py"), Path(folder, "lensctl")
        client.write_text(CLIENT.format(place=place))
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {client} "$@"\n')
        script.chmod(0o755)
        command = [sys.executable, "-m", "tests.toys.warm", place, *(["tiny"] if is_tiny else [])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as server:
            assert server.stdout
            assert server.stdout.readline() == b"ready\n", "the warm process did not start"
            yield script  # leaving closes its stdin, and it ends


def import_everything(*more: str) -> None:
    """Import lensctl and its libraries; nothing is run, because threads do not survive a fork."""
    import lensctl

    ours = (each.name for each in pkgutil.walk_packages(lensctl.__path__, "lensctl."))
    for name in (*LIBRARIES, *(name for name in ours if name != "lensctl.__main__"), *more):
        importlib.import_module(name)


def main(place: str, network: str = "") -> None:
    """Fork for each command until stdin is closed."""
    import_everything()
    with ExitStack() as stack:
        if network == "tiny":
            from tests.toys.frozen import tiny_network

            stack.enter_context(tiny_network())
        gc.freeze()
        _serve(place)


def _serve(place: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        print("ready", flush=True)
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if not os.fork():
                listening.close()
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> NoReturn:
    """Run what one client asks for, and tell it the exit status (of a signal: its number, negative)."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, received, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as told:
        words, folder, environment, umask, streams = json.load(told)
    if not (child := os.fork()):
        connection.close()
        for number in set(range(3)) - set(streams):
            os.close(number)
        for source, number in zip(received, streams, strict=True):
            os.dup2(source, number)
            os.close(source)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        os.umask(umask)
        _run(words)
    for number in (*received, 0, 1, 2):
        os.close(number)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(BrokenPipeError):
        connection.sendall(str(status).encode())
    os._exit(0)


def _run(words: list[str]) -> NoReturn:
    """As the start of Python and `lensctl` would."""
    from lensctl.cli.main import run

    sys.argv = ["lensctl", *words]
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        try:
            os.fstat(number)
            setattr(sys, name, open(number, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115
        except OSError:
            setattr(sys, name, None)
    run()


if __name__ == "__main__":
    main(*sys.argv[1:])
