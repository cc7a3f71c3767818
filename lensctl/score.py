"""Scoring: apply a model to every cutout of a manifest or a store."""

from __future__ import annotations

import functools
from pathlib import Path

from lensctl.frozen.proof.checks import proven
from lensctl.io.cutouts.by_manifest import Cutouts, origin_of, root_of
from lensctl.io.cutouts.store import Store, is_store, open_store
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Step, chain_of, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import local_folder
from lensctl.io.tables.files import read_table, refuse_lists, refuse_rows, refuse_tables, write_table
from lensctl.learning.networks.checkpoint import FROZEN, load_model
from lensctl.learning.networks.scoring import Read, refuse_other_cutouts, score_table
from lensctl.learning.out_of_memory import enough_memory
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey


def score(
    model: str | Path,
    input: str | Path,
    output: str | Path,
    *,
    survey: Survey | str | None = None,
    root: str | Path | None = None,
    tta: bool = False,
    embedding: bool = False,
    batch_size: int = 256,
    check_pixels: bool = True,
    device: str = "auto",
    threads: int | None = None,
    key: str | Path | None = None,
    format: str | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Score the cutouts of a manifest or a store with a run or a frozen model, which is verified first.

    Parameters
    ----------
    model, input, output : path
        Folder of the model; manifest or store, `-` is a manifest on stdin; table to write, `-` is stdout.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the input names none.
    root : path, optional
        Folder that `cutout_path` is relative to; default the manifest's.
    tta, batch_size, device, threads
        See `score_table`.
    embedding : bool
        Add a column `embedding`, what enters the last layer: a list of fixed length, of an ensemble the members' one
        after the other.
    key : path, optional
        Public key (PEM) of the expected signer of a frozen model.
    check_pixels : bool
        Compare the pixels with the recorded `cutout_sha256`.

    Returns
    -------
    Receipt
        With rows, rows scored and left out, members and digest of the model.

    Raises
    ------
    InputError
        See `score_table` and `refuse_other_cutouts`; a model that does not verify, pixels other than those recorded,
        an existing output.
    """
    model, input, output = str(model), str(input), str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    if embedding:
        refuse_lists(output, format)
    folder = local_folder(model, "a model must be on")
    if (folder / FROZEN).exists():
        loaded = proven(folder, device=device, key=key)
    elif key is None:
        loaded = load_model(folder)
    else:
        raise InputError(f"{model}: a run is not signed, but a key is given", "score a frozen model, or omit --key")
    crop = loaded.card.crop
    if input != "-" and is_store(input):
        store = open_store(input)
        table, chain, digest, role, origin = store.index, store.chain, store.digest, "store", origin_of(store)
        reader: Store | Cutouts = store
    else:
        cutout_root = root_of(input, root)
        table = read_table(input, format=format if input == "-" else None)
        chain, digest, role = chain_of(table, input), digests.of_table(table), "manifest"
        cutouts = Cutouts(table, cutout_root)
        origin = cutouts.origin()
        reader = cutouts
    read: Read = functools.partial(reader.read, crop=crop, check=check_pixels)
    if check_pixels and reader.recorded.note:
        report.say(reader.recorded.note)
    of = refuse_other_cutouts(loaded, (chain, *origin.chains), origin, survey)
    refuse_rows(table, output, format)
    with report.progress("cutouts scored", table.num_rows) as advance, enough_memory("use --device cpu"):
        scored = score_table(
            loaded,
            table,
            read,
            device=device,
            threads=threads,
            batch_size=batch_size,
            tta=tta,
            embedding=embedding,
            advance=advance,
        )
    for reason, count in sorted(scored.left_out.items()):
        report.say(f"no score for {count:,} rows: {reason}")
    inputs = (step_input("model", model, loaded.digest, loaded.chain), step_input(role, input, digest, chain))
    step = Step("score", {"tta": tta, **({"embedding": True} if embedding else {})}, inputs, survey=of)
    write_table(stamp(scored.rows, extend(step, chain, loaded.chain)), output, overwrite=overwrite, format=format)
    left_out = sum(scored.left_out.values())
    return {
        "command": "score",
        "output": output,
        "rows": table.num_rows,
        "scored": table.num_rows - left_out,
        "left_out": left_out,
        "members": len(loaded.members),
        "model_digest": loaded.digest,
    }
