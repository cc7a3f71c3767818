"""Properties of this machine: versions, memory, disk, Java, GPUs, reachable servers."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lensctl.io import programs
from lensctl.io.addresses import address_of
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError, ServiceError, first_line

IMPORT_SECONDS, JAVA_SECONDS = 120, 30.0
REACH_SECONDS = 5.0
CGROUP = Path("/sys/fs/cgroup")
"""Where Linux keeps a container's limits."""
_TORCH = """
import json, torch, torchvision
gpus = [[torch.cuda.get_device_name(i), torch.cuda.get_device_properties(i).total_memory]
        for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
mps = bool(getattr(torch.backends, "mps", None) and torch.backends.mps.is_available())
print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "gpus": gpus, "mps": mps}))
"""


@dataclass(frozen=True)
class Torch:
    """torch and torchvision as imported together: versions, GPUs (name, memory in bytes), MPS availability."""

    torch: str
    torchvision: str
    gpus: tuple[tuple[str, int], ...]
    mps: bool


def version(name: str) -> str | None:
    """Version of an installed package, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def python() -> tuple[bool, str]:
    """Whether this Python is recent enough, and its version."""
    return sys.version_info >= (3, 11), platform.python_version()


def system() -> str:
    """Operating system, its release, and the processor's architecture."""
    return f"{platform.system()} {platform.release()}, {platform.machine()}"


def torch_pair() -> Torch:
    """Import torch and torchvision in a separate process, so that an incompatible pair cannot crash this one.

    Raises InputError with the reason if the import fails.
    """
    try:
        done = programs.run([sys.executable, "-c", _TORCH], seconds=IMPORT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"they did not import within {IMPORT_SECONDS} s", "try the import in Python yourself"
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise InputError(f"they do not import: {last[:200]}", "install matching versions")
    found = json_value(done.stdout.splitlines()[-1])
    gpus = tuple((str(name), int(size)) for name, size in found["gpus"])
    return Torch(found["torch"], found["torchvision"], gpus, found["mps"])


def free_memory_bytes() -> int:
    """Available memory in bytes; half of the total if unknown."""
    total, free = memory_bytes()
    return total // 2 if free is None else free


def memory_bytes() -> tuple[int, int | None]:
    """Memory this process may use, in bytes (containers have a limit), and how much is free; None if unknown."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    meminfo = Path("/proc/meminfo")
    found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text()) if meminfo.is_file() else None
    free = int(found[1]) * 1024 if found else None
    limit, used = (_bytes_in(CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit is None:
        return total, free
    within = limit if used is None else max(limit - used, 0)
    return min(total, limit), within if free is None else min(free, within)


def _bytes_in(file: Path) -> int | None:
    """The number in a system file; None if there is none, or it says max."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def free_bytes(folder: Path) -> int:
    """Free space on the disk of a folder."""
    return shutil.disk_usage(folder).free


def java() -> str | None:
    """Version of Java, which Spark needs; None if there is none. InputError if it does not say so in time."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if program is None:
        return None
    try:
        done = programs.run([program, "-version"], seconds=JAVA_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{program} -version did not answer within {JAVA_SECONDS:g} s", "try it yourself, or set JAVA_HOME"
        ) from error
    found = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    return found[1] if found else None


def answers(url: str, seconds: float = REACH_SECONDS) -> int:
    """HTTP status of a server's response; ServiceError if it does not respond, InputError for an invalid URL."""
    server = address_of(url, "--url")
    headers = {"User-Agent": "lensctl doctor", **server.headers}
    request = urllib.request.Request(server.sent(server.base), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ServiceError(f"no response ({first_line(reason, 120)})", "are you online? is there a proxy?") from error
