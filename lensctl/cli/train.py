"""`lensctl train`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import MODEL, command
from lensctl.cli.compute import Device, RecordedThreads, set_openmp_wait_policy
from lensctl.cli.epochs import training_display
from lensctl.cli.options import Format, Overwrite, Root, Seed, Survey

if TYPE_CHECKING:
    from lensctl.learning.training.distributed import Team

WORLD = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
"""Environment variables set by torchrun, with their defaults for a single process."""
RECIPE, DATA, AUGMENTATION, MACHINE = "Recipe", "Rows", "Augmentation", "Machine"


@command("train", MODEL)
def train(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="Made by `lensctl manifest`; - is stdin.")],
    run_dir: Annotated[str, typer.Argument(metavar="RUN_DIR", help="Run folder to create, on local disk.")],
    survey: Survey = None,
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
            metavar="FILE", help="Initial weights: safetensors or a torch state_dict.", rich_help_panel=RECIPE
        ),
    ] = None,
    crop: Annotated[int, typer.Option(help="Side of the network's input, pixels.", rich_help_panel=RECIPE)] = 64,
    normalise: Annotated[str, typer.Option(help="bands, asinh or annulus.", rich_help_panel=RECIPE)] = "bands",
    epochs: Annotated[int, typer.Option(help="Maximum number of epochs.", rich_help_panel=RECIPE)] = 30,
    patience: Annotated[
        int, typer.Option(help="Early stopping: epochs without improvement.", rich_help_panel=RECIPE)
    ] = 8,
    batch_size: Annotated[int, typer.Option(help="Cutouts per step.", rich_help_panel=RECIPE)] = 256,
    lr: Annotated[float, typer.Option(help="Peak learning rate.", rich_help_panel=RECIPE)] = 1e-3,
    lr_end: Annotated[float, typer.Option(help="Final learning rate.", rich_help_panel=RECIPE)] = 1e-5,
    warmup: Annotated[
        float, typer.Option(help="Fraction of steps used for linear warmup.", rich_help_panel=RECIPE)
    ] = 0.03,
    weight_decay: Annotated[float, typer.Option(help="AdamW weight decay.", rich_help_panel=RECIPE)] = 0.01,
    clip: Annotated[float, typer.Option(help="Gradient clipping: maximum norm.", rich_help_panel=RECIPE)] = 1.0,
    seed: Seed = 42,
    ensemble: Annotated[
        int, typer.Option(help="Networks to train, each with its own seed.", rich_help_panel=RECIPE)
    ] = 1,
    pos_weight: Annotated[
        str, typer.Option(metavar="X|balanced", help="Factor on the loss weight of lenses.", rich_help_panel=DATA)
    ] = "1.0",
    positive_share: Annotated[
        float | None,
        typer.Option(help="Fraction of lenses in each batch; default: as in the data.", rich_help_panel=DATA),
    ] = None,
    samples_per_epoch: Annotated[
        int | None, typer.Option(help="Rows per epoch; default: all.", rich_help_panel=DATA)
    ] = None,
    tier_b_target: Annotated[
        float, typer.Option(help="Target for tier B lenses; 0.95 is label smoothing.", rich_help_panel=DATA)
    ] = 1.0,
    fold: Annotated[
        str | None,
        typer.Option(
            metavar="K/N", help="Test on fold K of N; folds are sets of HEALPix pixels.", rich_help_panel=DATA
        ),
    ] = None,
    calibrate_share: Annotated[
        float,
        typer.Option(
            help="Share of val's pixels kept out of early stopping, for thresholds and calibration, where val has 100 "
            "lenses or more.",
            rich_help_panel=DATA,
        ),
    ] = 0.5,
    without_ref: Annotated[
        list[str],
        typer.Option(metavar="REF", help="Discovery catalogue to exclude; repeat for several.", rich_help_panel=DATA),
    ] = [],  # noqa: B006
    rotate: Annotated[
        bool, typer.Option(help="Random rotations by multiples of 90 degrees.", rich_help_panel=AUGMENTATION)
    ] = True,
    flip: Annotated[bool, typer.Option(help="Random flips.", rich_help_panel=AUGMENTATION)] = True,
    shift: Annotated[int, typer.Option(help="Maximum shift, pixels; at most 5.", rich_help_panel=AUGMENTATION)] = 5,
    noise: Annotated[
        float, typer.Option(help="Maximum added noise, in background sigma; at most 0.1.", rich_help_panel=AUGMENTATION)
    ] = 0.1,
    blur: Annotated[
        float, typer.Option(help="Maximum Gaussian blur sigma, pixels.", rich_help_panel=AUGMENTATION)
    ] = 0.5,
    device: Device = "auto",
    threads: RecordedThreads = 2,
    amp: Annotated[
        bool,
        typer.Option(help="Mixed precision on GPUs: bfloat16 if supported, else float16.", rich_help_panel=MACHINE),
    ] = True,
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile.", rich_help_panel=MACHINE)] = False,
    feed: Annotated[
        str,
        typer.Option(
            help="Where cutouts are kept: device, host or stream; auto picks by size.", rich_help_panel=MACHINE
        ),
    ] = "auto",
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Also save a checkpoint every N batches.", rich_help_panel=MACHINE)
    ] = None,
    track: Annotated[
        list[str],
        typer.Option(help="tensorboard, wandb or mlflow; repeat for several.", rich_help_panel=MACHINE),
    ] = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="Resume an unfinished run.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a network on a manifest and its cutouts.

    Rows whose cutout failed or has a NaN in the crop are left out and counted. The best epoch by validation AUC is
    kept. --resume continues a killed run and reaches the same weights. For several GPUs use torchrun, which splits
    each batch among them: torchrun --nproc-per-node 4 -m lensctl train manifest.parquet run

    Example: lensctl train manifest.parquet run --epochs 10 --positive-share 0.3
    """
    given = dict(locals())
    set_openmp_wait_policy()
    from lensctl.learning.out_of_memory import enough_memory
    from lensctl.learning.training.settings import TrainConfig
    from lensctl.train import train

    with (
        _team(device) as team,
        enough_memory("use --feed stream or a smaller --batch-size, then add --resume"),
        training_display(epochs, ensemble, team.leads) as display,
    ):
        made = train(
            manifest,
            run_dir,
            survey=survey,
            root=root,
            init=init,
            device=device,
            threads=threads,
            feed=feed,
            compile=compile,
            checkpoint_every=checkpoint_every,
            track=track,
            resume=resume,
            overwrite=overwrite,
            format=format,
            team=team,
            neighbours=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            event=display.event,
            advance=display.read,
            report=report,
            **{field.name: given[field.name] for field in dataclasses.fields(TrainConfig)},
        )
    if made:
        report.receipt(**made)


@contextmanager
def _team(device: str) -> Iterator[Team]:
    """The processes started by torchrun, from its environment variables; without torchrun, this process alone.

    If another process reports an error, this one exits silently with the same status.
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
