"""`export` and `pack` beside plain loops of `np.savez` and `np.load` in two processes, with files like the plan's."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lensctl.export import export
from lensctl.io.cutouts.store import open_store
from lensctl.pack import pack
from lensctl.rules.survey import LS_DR10

FILES, SIZE, PROCESSES = 16_384, 101, 2
LIMIT = 1.5
Cutout = tuple[np.ndarray, dict[str, Any]]


def figures() -> Iterator[dict[str, object]]:
    """Files a second of each, wall time with the start of its processes; in memory, where a disk would say little."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        for loose in ("theirs", "ours"):
            (folder / loose).mkdir()
        saved = seconds(partial(in_two, save_loop, folder / "theirs"))
        loaded = seconds(partial(in_two, load_loop, folder / "theirs"))
        packed = seconds(partial(pack, folder / "theirs", str(folder / "a.zarr"), workers=PROCESSES))
        few = keep_few(folder / "theirs")
        store = open_store(folder / "a.zarr")
        exported = seconds(partial(export, store.path, folder / "ours", workers=PROCESSES, overwrite=True))
        same = same_arrays(few, folder / "ours")
        yield beside("np.savez", "export", saved, exported, same)
        yield beside("np.load", "pack", loaded, packed, same)


def beside(peer: str, what: str, theirs: float, ours: float, same: bool) -> dict[str, object]:
    """One figure."""
    return {
        "what": what,
        "files": FILES,
        "files_per_second": round(FILES / ours),
        "peer": f"{peer} in {PROCESSES} processes",
        "peer_files_per_second": round(FILES / theirs),
        "times_faster": round(theirs / ours, 2),
        "limit": LIMIT,
        "same_arrays": same,
        "holds": same and theirs / ours >= LIMIT,
    }


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cutouts(start: int, stop: int) -> Iterator[Cutout]:
    """Noise with the keys, types and lengths that the plan's own files have."""
    random = np.random.default_rng(start)
    pixels = random.normal(0.02, 0.1, (64, SIZE, SIZE, len(LS_DR10.bands))).astype(np.float32)
    texts = {"cutout_type": "positive", "pipeline_version": "1.0.0", "layer": "ls-dr10", "bands_requested": "grz"}
    texts |= {"tier": "B", "match_type": "REX", "brickname": "0001m040"}
    numbers = ["weight", *(f"statistic_{i}_r" for i in range(15))]
    for i in range(start, stop):
        ra, dec = 360 * i / FILES, float(random.uniform(-30, 30))
        meta: dict[str, Any] = {"galaxy_id": f"{i % 3600:04d}m040_{i}", "ra": ra, "dec": dec, **texts}
        meta |= {"size": SIZE, "pixel_scale": 0.262, "nobs_z": i % 20}
        meta |= {"timestamp": np.array("2026-02-08T22:13:40.833994+00:00")}
        meta |= {"cutout_url": f"https://www.legacysurvey.org/viewer/fits-cutout?ra={ra}&dec={dec}&size=101&bands=grz"}
        meta |= dict(zip(numbers, random.normal(size=len(numbers)).tolist(), strict=True))
        meta |= {f"nan_count_{band}": 0 for band in LS_DR10.bands} | {f"has_{band}": True for band in LS_DR10.bands}
        yield pixels[i % len(pixels)], {f"meta_{key}": value for key, value in {**meta, "quality_ok": True}.items()}


def in_two(loop: Callable[[Path, int, int], None], folder: Path) -> None:
    """A loop over all cutouts, its parts in processes of their own."""
    part = FILES // PROCESSES
    context = multiprocessing.get_context("spawn")
    at_work = [context.Process(target=loop, args=(folder, i * part, (i + 1) * part)) for i in range(PROCESSES)]
    for process in at_work:
        process.start()
    for process in at_work:
        process.join()
    assert not any(process.exitcode for process in at_work)


def save_loop(folder: Path, start: int, stop: int) -> None:
    """What a script does: one `np.savez` for each galaxy."""
    for pixels, meta in cutouts(start, stop):
        np.savez(folder / f"{meta['meta_galaxy_id']}.npz", cutout=pixels, **meta)


def load_loop(folder: Path, start: int, stop: int) -> None:
    """What a script does: all keys of each file."""
    for file in sorted(folder.iterdir())[start:stop]:
        with np.load(file) as found:
            assert found["cutout"].shape == (SIZE, SIZE, 3)
            _ = {key: found[key] for key in found.files}


def keep_few(folder: Path) -> list[Path]:
    """Make room, but for some files to compare with."""
    files = sorted(folder.iterdir())
    few = files[:: len(files) // 20]
    for file in set(files) - set(few):
        file.unlink()
    return few


def same_arrays(few: list[Path], ours: Path) -> bool:
    """Whether files that went through a store hold what they held before."""
    if len(list(ours.iterdir())) != FILES:
        return False
    for file in few:
        with np.load(file) as before, np.load(ours / file.name) as after:
            if not all(before[key].tobytes() == after[key].tobytes() for key in before.files):
                return False
    return True
