"""A process that has imported everything and run nothing, of which each case of the fuzz is a fork.

It reads cases as JSON lines and answers each with a JSON line: how the command ended, after how long, how much memory
it took at most. It runs nothing itself, because threads do not survive a fork.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.toys.warm import import_everything

SLOW_S, LONGEST_S = 20, 30
"""Then it says where it is; then it is killed."""
MOST_BYTES = 2 << 30
OUTPUT = "said.txt"
TRACEBACK, KILLED_FOR_TIME, KILLED_FOR_MEMORY = 3, -1000, -1001


def main() -> None:
    """Answer cases until stdin ends."""
    import typer.main

    from lensctl.cli.command import app
    from lensctl.learning.networks import architectures
    from tests.fuzz.reader import Reader
    from tests.fuzz.readers import READERS
    from tests.toys import rings

    import_everything("tests.toys.fake_s3")
    architectures.ARCHITECTURES["resnet18"] = rings.tiny  # type: ignore[index]
    typer.main.get_command = functools.cache(typer.main.get_command)
    typer.main.get_command(app)
    gc.freeze()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, command, folders = json.loads(line)
        reader = READERS[name] if name else Reader("", command, ())
        print(json.dumps(forked(reader.run, [Path(folder) for folder in folders])), flush=True)


def forked(run: Callable[[], int], folders: list[Path]) -> dict[str, Any]:
    """How a fork of this process ends that runs a function in each folder, with all it says in a file there.

    Its status is that of the last run, or of the first that neither passed nor was refused.
    """
    begun = time.monotonic()
    child = os.fork()
    if not child:
        _run(run, folders)
    before = peak = _resident(child)
    status = 0
    while not (done := os.wait4(child, os.WNOHANG))[0]:
        peak = max(peak, _resident(child))
        late = time.monotonic() - begun > LONGEST_S
        if late or peak - before > MOST_BYTES:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            status = KILLED_FOR_TIME if late else KILLED_FOR_MEMORY
            break
        time.sleep(0.003)
    else:
        peak = max(peak, done[2].ru_maxrss * 1024)
        status = os.waitstatus_to_exitcode(done[1])
    return {"status": status, "seconds": time.monotonic() - begun, "bytes": peak - before}


def _run(run: Callable[[], int], folders: list[Path]) -> None:
    """In the child: never returns."""
    status = TRACEBACK
    try:
        os.setsid()
        sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(1, "w"), open(2, "w")  # noqa: SIM115
        import pyarrow as pa
        import torch

        pa.set_cpu_count(1)
        torch.set_num_threads(1)
        for folder in folders:
            said = os.open(folder / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os.close(said)
            faulthandler.enable()
            faulthandler.dump_traceback_later(SLOW_S)
            os.chdir(folder / "case")
            status = run()
            sys.stdout.flush()
            sys.stderr.flush()
            if status not in (0, 1, 2):
                break
    except BaseException:
        status = TRACEBACK
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    main()
