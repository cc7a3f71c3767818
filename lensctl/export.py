"""Export a store to a folder of .npz files, one per galaxy; `pack` restores the same pixels and `meta_*`."""

from __future__ import annotations

from pathlib import Path

from lensctl.io.cutouts import npz_folder
from lensctl.io.cutouts.store import open_store
from lensctl.io.provenance.steps import Step, extend, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter


def export(
    store: str | Path,
    folder: str | Path,
    *,
    compress: bool = False,
    ok_only: bool = False,
    check_pixels: bool = True,
    workers: int | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Write one .npz per cutout of a store; called again, it resumes. See `npz_folder.write`.

    Parameters
    ----------
    store, folder : path
        Store, and folder to create.
    compress, ok_only : bool
        Deflate the files; leave out cutouts that cannot be used.
    check_pixels : bool
        Compare the pixels with the store's `cutout_sha256`.
    workers : int, optional
        Processes; default one per core.

    Returns
    -------
    Receipt
        With rows of the store, and files written.

    Raises
    ------
    InputError
        A store that is damaged or, with `check_pixels`, holds pixels other than those recorded.
    """
    source = open_store(store)
    inputs = (step_input("store", source.path, source.digest, source.chain),)
    step = Step("export", {"compress": compress, "ok_only": ok_only}, inputs, survey=source.survey)
    if check_pixels and source.recorded.note:
        report.say(source.recorded.note)
    with report.progress(".npz files", source.n) as advance:
        files = npz_folder.write(
            source,
            folder,
            extend(step, source.chain),
            compress=compress,
            ok_only=ok_only,
            check=check_pixels,
            overwrite=overwrite,
            processes=workers,
            advance=advance,
        )
    return {"command": "export", "output": str(folder), "rows": source.n, "files": files}
