"""From a manifest, a store or a table to a table of scores: the whole command."""

from __future__ import annotations

from pathlib import Path

from lensctl.frozen.proof.checks import proven
from lensctl.io.cutouts.store import is_store
from lensctl.io.imaging.coadds import CoaddSource
from lensctl.io.provenance.steps import Step, extend, stamp, step_input
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage.atomic import local_folder
from lensctl.io.tables.files import refuse_lists, refuse_rows, refuse_tables, write_table
from lensctl.learning.networks.checkpoint import FROZEN, load_model
from lensctl.learning.networks.scorer import Scorer
from lensctl.learning.networks.scoring import score_read
from lensctl.learning.out_of_memory import enough_memory
from lensctl.rules.acceptance import MAX_EMPTY
from lensctl.rules.errors import InputError
from lensctl.rules.survey import Survey
from lensctl.score.inputs import of_coadds, of_manifest, of_store
from lensctl.score.of_coadds import score_coadds


def score(
    model: str | Path,
    input: str | Path,
    output: str | Path,
    *,
    source: str | None = None,
    survey: Survey | str | None = None,
    root: str | Path | None = None,
    max_empty: float = MAX_EMPTY,
    workers: int | None = None,
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
    source : str, optional
        `coadd`: the input is a table with galaxy_id, ra, dec, whose cutouts are cut from coadds and not kept.
    survey : Survey or str, optional
        The survey, its name or its YAML file, if the input names none.
    root : path, optional
        Folder that `cutout_path` is relative to; default the manifest's, and the output's if the input is a store. With
        `source`, the coadds: see `CoaddSource`.
    max_empty, workers
        With `source`: greatest fraction of empty inner pixels of a usable cutout; processes that cut.
    tta, batch_size, device, threads
        See `score_table`.
    embedding : bool
        Add a column `embedding`, what enters the last layer: a list of fixed length, of an ensemble the members' one
        after the other. Not with `source`.
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
        See `score_table` and `scorer.refuse_other_cutouts`; a model that does not verify, pixels other than those
        recorded, an existing output.
    """
    model, input, output = str(model), str(input), str(output)
    refuse_tables(output, overwrite=overwrite, format=format)
    if embedding:
        refuse_lists(output, format)
        if source is not None:
            raise InputError("--embedding and --source do not go together", "cut the rows first, and score the store")
    folder = local_folder(model, "a model must be on")
    if (folder / FROZEN).exists():
        loaded = proven(folder, device=device, key=key)
    elif key is None:
        loaded = load_model(folder)
    else:
        raise InputError(f"{model}: a run is not signed, but a key is given", "score a frozen model, or omit --key")
    if source is not None:
        given = of_coadds(source, input, format, root, survey, loaded, max_empty, workers)
    elif input != "-" and is_store(input):
        given = of_store(input, output, root, survey, loaded, check_pixels, report)
    else:
        given = of_manifest(input, format, root, survey, loaded, check_pixels, report)
    table = given.table
    refuse_rows(table, output, format)
    with report.progress("cutouts scored", table.num_rows) as advance, enough_memory("use --device cpu"):
        scorer = Scorer(loaded, device=device, threads=threads, tta=tta, embedding=embedding)
        if isinstance(given.cutouts, CoaddSource):
            scored = score_coadds(scorer, table, given.cutouts, advance=advance)
        else:
            scored = score_read(scorer, table, given.cutouts, batch_size, advance)
    for reason, count in sorted(scored.left_out.items()):
        report.say(f"no score for {count:,} rows: {reason}")
    of_model = step_input("model", model, loaded.digest, loaded.chain)
    said = {"tta": tta, **({"embedding": True} if embedding else {}), **given.parameters}
    step = Step("score", said, (of_model, *given.inputs), survey=given.survey)
    chain = extend(step, *given.chains, loaded.chain)
    write_table(stamp(scored.rows, chain), output, overwrite=overwrite, format=format)
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
