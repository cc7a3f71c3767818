"""`lensctl train`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, Threads, be_a_good_neighbour, local_folder, root_of
from lensctl.cli.epochs import teller
from lensctl.cli.options import Format, Overwrite, Root, Seed

if TYPE_CHECKING:
    from lensctl.learning.training.distributed import Team

WORLD = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
"""What torchrun says in the environment, and what holds without it."""
RECIPE, DATA, CHANGES, MACHINE = "Recipe", "Rows", "Augmentation", "Machine"


@command("train", MODEL)
def train(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="Made by `lensctl manifest`; - is stdin.")],
    run_dir: Annotated[str, typer.Argument(metavar="RUN_DIR", help="Folder to make, on local disk.")],
    root: Root = None,
    format: Format = None,
    arch: Annotated[
        str,
        typer.Option(
            help="resnet18, shielded, shielded_194k, efficientnet_b0 or efficientnet_v2_s.", rich_help_panel=RECIPE
        ),
    ] = "resnet18",
    dropout: Annotated[float, typer.Option(help="Dropout before the last layer.", rich_help_panel=RECIPE)] = 0.0,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Weights to start from: safetensors or a torch state_dict.", rich_help_panel=RECIPE
        ),
    ] = None,
    crop: Annotated[int, typer.Option(help="Pixels per side that the network sees.", rich_help_panel=RECIPE)] = 64,
    normalise: Annotated[str, typer.Option(help="bands, asinh or annulus.", rich_help_panel=RECIPE)] = "bands",
    epochs: Annotated[int, typer.Option(help="Most epochs.", rich_help_panel=RECIPE)] = 30,
    patience: Annotated[int, typer.Option(help="Epochs without gain before it stops.", rich_help_panel=RECIPE)] = 8,
    batch_size: Annotated[int, typer.Option(help="Cutouts per step.", rich_help_panel=RECIPE)] = 256,
    lr: Annotated[float, typer.Option(help="Highest learning rate.", rich_help_panel=RECIPE)] = 1e-3,
    lr_end: Annotated[float, typer.Option(help="Last learning rate.", rich_help_panel=RECIPE)] = 1e-5,
    warmup: Annotated[float, typer.Option(help="Share of the steps in which it rises.", rich_help_panel=RECIPE)] = 0.03,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.", rich_help_panel=RECIPE)] = 0.01,
    clip: Annotated[float, typer.Option(help="Largest gradient norm.", rich_help_panel=RECIPE)] = 1.0,
    seed: Seed = 42,
    ensemble: Annotated[int, typer.Option(help="Networks to train, each its own seed.", rich_help_panel=RECIPE)] = 1,
    pos_weight: Annotated[
        str, typer.Option(metavar="X|balanced", help="Factor on the weight of lenses.", rich_help_panel=DATA)
    ] = "1.0",
    positive_share: Annotated[
        float | None,
        typer.Option(help="Share of lenses in each batch; as they come if not given.", rich_help_panel=DATA),
    ] = None,
    samples_per_epoch: Annotated[
        int | None, typer.Option(help="Rows in an epoch; all if not given.", rich_help_panel=DATA)
    ] = None,
    tier_b_target: Annotated[
        float, typer.Option(help="Target of tier B lenses; 0.95 smooths their label.", rich_help_panel=DATA)
    ] = 1.0,
    fold: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Test on part K of N of the sky, by HEALPix pixel.", rich_help_panel=DATA),
    ] = None,
    without_ref: Annotated[
        list[str],
        typer.Option(metavar="REF", help="Discovery catalogue to leave out; repeat for several.", rich_help_panel=DATA),
    ] = [],  # noqa: B006
    rotate: Annotated[bool, typer.Option(help="Quarter turns.", rich_help_panel=CHANGES)] = True,
    flip: Annotated[bool, typer.Option(help="Mirror images.", rich_help_panel=CHANGES)] = True,
    shift: Annotated[int, typer.Option(help="Largest shift, pixels; at most 5.", rich_help_panel=CHANGES)] = 5,
    noise: Annotated[
        float, typer.Option(help="Noise, at most 0.1 of the background's.", rich_help_panel=CHANGES)
    ] = 0.1,
    blur: Annotated[float, typer.Option(help="Largest sigma of a blur, pixels.", rich_help_panel=CHANGES)] = 0.5,
    device: Device = "auto",
    threads: Threads = None,
    amp: Annotated[
        bool, typer.Option(help="bfloat16 on a GPU that has it, float16 on another.", rich_help_panel=MACHINE)
    ] = True,
    compile: Annotated[bool, typer.Option("--compile", help="Through torch.compile.", rich_help_panel=MACHINE)] = False,
    feed: Annotated[
        str,
        typer.Option(help="device, host or stream cutouts; auto goes by size.", rich_help_panel=MACHINE),
    ] = "auto",
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Save after so many batches too.", rich_help_panel=MACHINE)
    ] = None,
    track: Annotated[
        list[str],
        typer.Option(help="tensorboard, wandb or mlflow; repeat for several.", rich_help_panel=MACHINE),
    ] = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a network on a manifest and its cutouts.

    Rows whose cutout failed or has a NaN in the crop are left out and counted. The best epoch by validation AUC is
    kept. A run that was killed goes on with --resume, to the same weights. Several GPUs share each batch under
    torchrun: torchrun --nproc-per-node 4 -m lensctl train manifest.parquet run

    Example: lensctl train manifest.parquet run --epochs 10 --positive-share 0.3
    """
    be_a_good_neighbour()
    from lensctl.io import machine
    from lensctl.io.cutouts.by_manifest import Cutouts
    from lensctl.io.tables.files import read_table
    from lensctl.learning.networks.checkpoint import RUN, read_json
    from lensctl.learning.out_of_memory import enough_memory
    from lensctl.learning.training.settings import Resources, TrainConfig, weight_from
    from lensctl.learning.training.trackers import TRACKERS, refuse_missing
    from lensctl.train import train

    with _team(device) as team, enough_memory("use --feed stream or a smaller --batch-size, then add --resume"):
        config = TrainConfig(
            arch=arch,
            dropout=dropout,
            crop=crop,
            normalise=normalise,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            lr_end=lr_end,
            warmup=warmup,
            weight_decay=weight_decay,
            clip=clip,
            patience=patience,
            pos_weight=weight_from(pos_weight),
            positive_share=positive_share,
            samples_per_epoch=samples_per_epoch,
            tier_b_target=tier_b_target,
            rotate=rotate,
            flip=flip,
            shift=shift,
            noise=noise,
            blur=blur,
            amp=amp,
            seed=seed,
            fold=fold,
            without_ref=tuple(without_ref),
            ensemble=ensemble,
        )
        for name in track:
            refuse_missing(name)
        built = local_folder(run_dir, "a run is made on")
        folder = root_of(manifest, root)
        rows = read_table(manifest, format=format if manifest == "-" else None)
        cutouts = Cutouts(rows, folder)
        scale = Cutouts(rows.slice(0, 1), folder).facts("pixel_scale_arcsec")["pixel_scale_arcsec"][0].as_py()
        resources = Resources(
            device=device,
            threads=threads,
            feed=feed,
            host_bytes=machine.free_memory_bytes() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            compiled=compile,
            init=init,
            checkpoint_every=checkpoint_every,
        )
        trackers = []
        worked = False
        with teller(epochs, ensemble, team.leads) as tell:
            for event in train(
                rows,
                cutouts,
                config,
                built,
                manifest_name=manifest,
                pixel_scale_arcsec=scale,
                resources=resources,
                team=team,
                resume=resume,
                overwrite=overwrite,
                advance=tell.read,
            ):
                if not worked and team.leads:
                    trackers = [TRACKERS[name](built, config.as_dict()) for name in track]
                worked = True
                tell.event(event)
                if event.metrics is not None:
                    for tracker in trackers:
                        tracker.log(event.member, event.metrics)
        for tracker in trackers:
            tracker.close()
    if not team.leads:
        return
    if not worked:
        report.say(f"{run_dir} has finished already: nothing to do")
    report.receipt("train", run_dir, **_facts(read_json(built / RUN)))


@contextmanager
def _team(device: str) -> Iterator[Team]:
    """The processes that torchrun started, by the environment it sets; this one alone without it.

    An error that another process says ends this one with the same status and without a word.
    """
    from lensctl.learning.training.distributed import ALONE, FailedElsewhere, gather_team

    rank, size, local = (int(os.environ.get(name, default)) for name, default in WORLD.items())
    if size == 1:
        yield ALONE
        return
    try:
        with gather_team(rank, size, local, device) as team:
            yield team
    except FailedElsewhere:
        raise typer.Exit(2) from None


def _facts(run: dict[str, Any]) -> dict[str, Any]:
    """What the receipt tells of a run."""
    members = run.get("members") or [run]
    best = [member["metrics"]["val_auc"] for member in members if member["metrics"]]
    return {
        "members": len(members),
        "epochs": sum(member["epochs"] for member in members),
        "val_auc": round(sum(best) / len(best), 6) if best else None,
        "train_rows": sum(run["rows"]["train"].values()),
        "val_rows": sum(run["rows"]["val"].values()),
        "left_out": sum(run["rows"]["left_out"].values()),
        "model_digest": run["model_digest"],
    }
