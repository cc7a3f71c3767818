"""Export a store to a folder of .npz files, one per galaxy; `pack` restores the same pixels and `meta_*`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lensctl.io.cutouts import npz_folder
from lensctl.io.cutouts.store import Store
from lensctl.io.provenance.steps import Step, extend, step_input


def export(
    store: Store,
    folder: str | Path,
    *,
    compress: bool = False,
    ok_only: bool = False,
    overwrite: bool = False,
    processes: int | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> int:
    """Write one .npz per cutout; see `npz_folder.write`. Returns the number of files."""
    name = store.path.rsplit("/", 1)[-1]
    inputs = (step_input("store", name, store.digest, store.chain),)
    step = Step("export", {"compress": compress, "ok_only": ok_only}, inputs, survey=store.survey)
    return npz_folder.write(
        store,
        folder,
        extend(step, store.chain),
        compress=compress,
        ok_only=ok_only,
        overwrite=overwrite,
        processes=processes,
        advance=advance,
    )
