"""Pack a folder of .npz files into a store, shard by shard, keeping all their `meta_*`."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.io.cutouts import by_manifest, npz, npz_columns, npz_folder, npz_metadata
from lensctl.io.cutouts.layout import Layout, index_rows
from lensctl.io.cutouts.listing import refuse_other_bands
from lensctl.io.cutouts.store import open_store
from lensctl.io.cutouts.writer import ShardWriter, StoreWriter
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, common_survey, extend, from_list, step_input, to_list
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.growing_folders import begin_folder
from lensctl.io.workers import each
from lensctl.rules import quality, schema
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.config import json_value
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey
from lensctl.rules.survey_file import text_of_survey

if TYPE_CHECKING:
    import pyarrow as pa

CHAINS = b"lensctl.chains"


def pack(
    folder: str | Path,
    store: str | Path,
    *,
    survey: Survey | str | None = None,
    shard_rows: int = 1024,
    codec: str = "none",
    max_empty: float = MAX_EMPTY,
    workers: int | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Pack the .npz files of a folder into a store, in the order of their names; called again, it resumes.

    Parameters
    ----------
    folder, store : path
        Folder of .npz, and store to write.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the files do not say which.
    shard_rows, codec
        See `Layout`.
    max_empty : float
        Greatest fraction of empty inner pixels in any band of a usable cutout.
    workers : int, optional
        Processes; default one per core.

    Returns
    -------
    Receipt
        With rows, and their statuses.

    Raises
    ------
    InputError
        No files; a file that is damaged, pickled, lacks a key, or differs in size from the first; a duplicate id.
    """
    path = str(store)
    files = by_manifest.npz_files(folder)
    first = npz.read_npz(files[0])
    survey = common_survey(survey, by_manifest.carried_chain(first, files[0])[1])
    refuse_other_bands(first.cutout.shape[2], files[0], survey)
    layout = Layout(len(files), first.cutout.shape[0], survey.bands, shard_rows, codec)
    parameters = {"shard_rows": shard_rows, "codec": codec, "max_empty": max_empty}
    name = Path(folder).absolute().name
    stamps = [file.stat() for file in files]
    fresh = digests.of_many(f"{f.name} {s.st_size} {s.st_mtime_ns}" for f, s in zip(files, stamps, strict=True))
    of_survey = text_of_survey(survey)
    inputs = [{"role": "folder", "digest": fresh}]
    identity = {"command": "pack", "parameters": parameters, "inputs": inputs, "survey": of_survey}
    with (
        report.progress(".npz files", len(files)) as advance,
        begin_folder(path, identity, overwrite=overwrite, afresh=overwrite) as place,
    ):
        writer = StoreWriter(place, layout)
        missing = writer.missing()
        tasks = ((shard, [str(file) for file in files[slice(*layout.span(shard))]]) for shard in missing)
        try:
            for done in each(functools.partial(_pack_shard, writer.writer, max_empty), tasks, workers):
                advance(done)
            digest = _refuse_bad_ids(writer)
        except InputError:
            place.abandon()
            raise
        chains = [from_list(chain, str(folder)) for note in writer.notes(CHAINS) for chain in json_value(note)]
        made_by = by_manifest.merged(chains)
        step = Step("pack", parameters, (step_input("folder", name, digest, made_by),), survey=survey)
        writer.finish(extend(step, made_by), {"source": "npz"})
    statuses = Counter(open_store(path).columns("status")["status"].to_pylist())
    return {"command": "pack", "output": path, "rows": len(files), "status": dict(sorted(statuses.items()))}


def _refuse_bad_ids(writer: StoreWriter) -> str:
    """Digest of everything packed; InputError for a duplicate id, or one that cannot be a file name."""
    import pyarrow as pa

    _, parts = writer.index()
    rows = pa.concat_tables(list(parts))
    schema.refuse_duplicates(rows, where="the .npz files")
    npz_folder.refuse_bad_names(rows["galaxy_id"].to_pylist())
    return digests.of_table(rows)


def _pack_shard(writer: ShardWriter, max_empty: float, task: tuple[int, Sequence[str]]) -> int:
    shard, files = task
    size, planes = writer.layout.size, len(writer.layout.bands)
    images = np.empty((len(files), size, size, planes), np.float32)
    metas: list[dict[str, npz.Array]] = []
    chains: dict[bytes, list[dict[str, Any]]] = {}
    for image, file in zip(images, files, strict=True):
        found = npz.read_npz(file)
        if found.cutout.shape != image.shape:
            raise InputError(
                f"{file}: cutout has shape {found.cutout.shape}, the first file {image.shape}", "pack it separately"
            )
        image[...] = found.cutout
        raw = found.meta.get(npz.PROVENANCE)
        if raw is None or raw.tobytes() not in chains:
            text, chain = by_manifest.carried_chain(found, file)
            if text:
                chains[text] = to_list(chain)
        if raw is not None and raw.dtype.kind == "S":
            found.meta.pop(npz.PROVENANCE)
        metas.append(found.meta)
    rows = _rows(writer.layout, images, metas, max_empty)
    writer.write(shard, images, rows, {CHAINS: json.dumps(list(chains.values())).encode()})
    return len(files)


def _rows(layout: Layout, images: quality.Images, metas: Sequence[dict[str, npz.Array]], max_empty: float) -> pa.Table:
    recorded = [npz_metadata.index_values(meta) for meta in metas]
    measured = quality.measure(images, layout.bands, max_empty)
    found = measured.pop("status")
    columns: dict[str, Any] = {name: [row[name] for row in recorded] for name in recorded[0] if name != "status"}
    status = [by_manifest.verdict(row["status"], str(seen)) for row, seen in zip(recorded, found, strict=True)]
    columns |= {**measured, "status": status, "cutout_sha256": quality.fingerprints(images)}
    return index_rows(layout, columns, npz_columns.table_of(metas))
