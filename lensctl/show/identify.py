"""Identifies a file or folder by its contents, and describes it."""

from __future__ import annotations

import glob
from pathlib import Path

from lensctl.io.cutouts.layout import ATTRIBUTE, GROUP
from lensctl.io.cutouts.store import is_store
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.paths import SUFFIXES
from lensctl.rules.config import as_written
from lensctl.rules.errors import InputError
from lensctl.show import files, folders, pixels, selections
from lensctl.show.description import Description
from lensctl.show.tables import table_facts

FITS_MAGIC, ZIP_MAGIC = b"SIMPLE  =", b"PK\x03\x04"
TABLE_MAGIC = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")


def identify(path: str, *, head: int = 3, where: str = "", format: str | None = None) -> Description:
    """Describe a file, folder, glob, S3 object or stream (`-`).

    Parameters
    ----------
    head : int
        Rows of a table to show.
    where : str
        SQL condition on the rows of a table.
    format : str, optional
        Table format; by default from the file name.

    Raises
    ------
    InputError
        No such file, or an incomplete one.
    """
    with as_written(path, "is it complete?"):
        facts = _look(path, head, where, format)
    if where and facts.kind != "table":
        raise InputError(f"{path} is a {facts.kind}, but --where selects rows of a table", "leave out --where")
    return facts.with_survey()


def _look(path: str, head: int, where: str, format: str | None) -> Description:
    local = Path(path)
    if path != "-" and not is_s3(path):
        if local.is_dir():
            return _folder(local, path, head, where, format)
        if local.is_file() and format is None:
            return _file(path, head, where)
        if not local.exists() and not glob.has_magic(path):
            raise InputError(f"{path}: no such file", "check the path")
    elif is_s3(path) and is_store(path):
        return pixels.store_facts(path)
    return table_facts(path, head, where, format)


def _folder(folder: Path, path: str, head: int, where: str, format: str | None) -> Description:
    def has(*names: str) -> bool:
        return all((folder / name).exists() for name in names)

    if has(GROUP):
        ours = ATTRIBUTE in (folders.read_json(folder / GROUP).get("attributes") or {})
        return pixels.store_facts(path) if ours else folders.zarr_facts(folder)
    if has("attachment.json"):
        return selections.attachment_facts(folder)
    if has("selection.json"):
        return selections.selection_facts(folder)
    if has("frozen.json"):
        return folders.frozen_facts(folder)
    if has("run.json"):
        return folders.run_facts(folder)
    if has("metrics.json"):
        return folders.evaluation_facts(folder)
    if has("search.json"):
        return folders.search_facts(folder)
    if has("provenance.json", "truth.parquet", "survey-bricks.fits.gz"):
        return folders.sky_facts(folder)
    if has("job.json"):
        return folders.unfinished_facts(folder)
    if pixels.holds_npz(folder):
        return pixels.npz_folder_facts(path)
    if any(folder.rglob("*.parquet")):
        return folders.unlike_tables(folder) or table_facts(path, head, where, format)
    return folders.other_facts(folder)


def _file(path: str, head: int, where: str) -> Description:
    """Identify by the first bytes if possible, else by suffix."""
    with open(path, "rb") as file:
        begin = file.read(16)
    name = Path(path).name.lower()
    if begin.startswith(FITS_MAGIC) or ".fits" in name:
        return files.fits_facts(path)
    if begin.startswith(ZIP_MAGIC) or name.endswith(".npz"):
        return pixels.npz_facts(path) if name.endswith(".npz") else files.other_facts(path)
    if name.endswith(".safetensors"):
        return files.weights_facts(path)
    if name.endswith(".json"):
        return files.json_facts(path)
    if name.endswith((".jsonl", ".ndjson")) and (found := files.lines_facts(path)):
        return found
    if begin.startswith(TABLE_MAGIC) or any(name.endswith(ending) for ending in SUFFIXES):
        magic = "parquet" if begin.startswith(b"PAR1") else "arrow" if begin.startswith(TABLE_MAGIC[1:]) else None
        return table_facts(path, head, where, magic)
    return files.other_facts(path)
