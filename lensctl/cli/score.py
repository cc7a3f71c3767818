"""`lensctl score`."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, Threads, local_folder, root_of, set_openmp_wait_policy
from lensctl.cli.options import Format, Output, Overwrite, Root, Survey


@command("score", MODEL)
def score(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run folder or frozen model.")],
    input: Annotated[str, typer.Argument(metavar="INPUT", help="Manifest or cutout store; - is a manifest on stdin.")],
    output: Output,
    survey: Survey = None,
    root: Root = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Test-time augmentation: average over 8 rotations and flips.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Cutouts per batch; does not affect the result.")] = 256,
    device: Device = "auto",
    threads: Threads = None,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Score cutouts with a trained or frozen model.

    Crop and normalisation are stored with the model; a frozen model is verified first. All columns of INPUT are kept;
    logit, p and the members' logits are added, null where there is no good cutout.

    Example: lensctl score run manifest.parquet scores.parquet
    """
    set_openmp_wait_policy()
    from lensctl.io.cutouts.by_manifest import Cutouts, origin_of
    from lensctl.io.cutouts.store import is_store, open_store
    from lensctl.io.provenance import digests
    from lensctl.io.provenance.steps import Step, chain_of, extend, stamp, step_input
    from lensctl.io.storage.atomic import refuse_existing
    from lensctl.io.tables.files import read_table, write_table
    from lensctl.learning.networks.checkpoint import FROZEN, load_model
    from lensctl.learning.out_of_memory import enough_memory
    from lensctl.score import refuse_other_cutouts, score
    from lensctl.verify import proven

    refuse_existing(output, overwrite)
    model_folder = local_folder(model, "a model must be on")
    is_frozen = (model_folder / FROZEN).exists()
    loaded = proven(model_folder, device=device) if is_frozen else load_model(model_folder)
    crop = loaded.card.crop
    if input != "-" and is_store(input):
        store = open_store(input)
        table, chain, digest, role, origin = store.index, store.chain, store.digest, "store", origin_of(store)

        def read(rows):  # type: ignore[no-untyped-def]
            return store.read(rows, crop=crop)
    else:
        cutout_root = root_of(input, root)
        table = read_table(input, format=format if input == "-" else None)
        chain, digest, role = chain_of(table, input), digests.of_table(table), "manifest"
        cutouts = Cutouts(table, cutout_root)
        origin = cutouts.origin()

        def read(rows):  # type: ignore[no-untyped-def]
            return cutouts.read(rows, crop=crop)

    of = refuse_other_cutouts(loaded, (chain, *origin.chains), origin, survey)
    with report.progress("cutouts scored", table.num_rows) as advance, enough_memory("use --device cpu"):
        scored = score(
            loaded, table, read, device=device, threads=threads, batch_size=batch_size, tta=tta, advance=advance
        )
    for reason, count in sorted(scored.left_out.items()):
        report.say(f"no score for {count:,} rows: {reason}")
    inputs = (
        step_input("model", model, loaded.digest, loaded.chain),
        step_input(role, input, digest, chain),
    )
    step = Step("score", {"tta": tta}, inputs, survey=of)
    rows = stamp(scored.rows, extend(step, chain, loaded.chain))
    write_table(rows, output, overwrite=overwrite, format=format)
    report.receipt(
        "score",
        output,
        rows=table.num_rows,
        scored=table.num_rows - sum(scored.left_out.values()),
        left_out=sum(scored.left_out.values()),
        members=len(loaded.members),
        model_digest=loaded.digest,
    )
