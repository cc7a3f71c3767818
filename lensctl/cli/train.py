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


ARCHS = (
    "resnet18 (11.2 M weights), shielded (0.06 M, cost 0.5 of it), shielded_194k (0.19 M, 1.6), efficientnet_b0 "
    "(4.0 M, 0.2), efficientnet_v2_s (20 M, 1.6); with timm convnext_nano (15 M, 1.3), tf_efficientnetv2_s "
    "(20 M, 1.6), vit_small_patch8_224 (21 M, 9.4)."
)
"""Costs are multiplications for a cutout of 64 px, relative to resnet18."""
NORMALISATIONS = (
    "bands (one mean and std a band: keeps brightness and colour), asinh (each cutout by its own noise: keeps colour, "
    "not brightness) or annulus (each band by its own: keeps neither; clips bright cores)."
)


def _recipe(context: typer.Context, name: str) -> str:
    """Use the settings of a recipe as defaults; the config file and options take precedence."""
    from lensctl.learning.training.recipes import recipe

    context.default_map = {**recipe(name), **(context.default_map or {})}
    return name


@command("train", MODEL)
def train(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="Made by `lensctl manifest`; - is stdin.")],
    run_dir: Annotated[str, typer.Argument(metavar="RUN_DIR", help="Run folder to create, on local disk.")],
    survey: Survey = None,
    root: Root = None,
    format: Format = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="Settings to begin with: default, or plan (30 passes, whatever the size of the set); options win.",
            rich_help_panel=RECIPE,
            is_eager=True,
            callback=_recipe,
        ),
    ] = "default",
    arch: Annotated[str, typer.Option(help=ARCHS, rich_help_panel=RECIPE)] = "resnet18",
    dropout: Annotated[float, typer.Option(help="Dropout before the last layer.", rich_help_panel=RECIPE)] = 0.0,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Initial weights: safetensors or a torch state_dict, with the first and last layer adapted.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    init_trained_on: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What they were trained on, such as ImageNet-1k; recorded, and needed with --without-ref.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    crop: Annotated[
        int,
        typer.Option(
            help="Side of the network's input, pixels; 101 costs 2.3 to 3.2 times as much as 64.",
            rich_help_panel=RECIPE,
        ),
    ] = 64,
    normalise: Annotated[str, typer.Option(help=NORMALISATIONS, rich_help_panel=RECIPE)] = "asinh",
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the rows; by default 30 epochs, as long as --least-steps asks.", rich_help_panel=RECIPE
        ),
    ] = None,
    cutouts_seen: Annotated[
        int | None,
        typer.Option(help="Length of the whole training in cutouts, instead of passes.", rich_help_panel=RECIPE),
    ] = None,
    least_steps: Annotated[
        int,
        typer.Option(
            help="Steps of a training at least, where nothing else says its length: a small set is seen more often.",
            rich_help_panel=RECIPE,
        ),
    ] = 1500,
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
    ema: Annotated[
        float,
        typer.Option(
            help="Keep a moving average of the weights, with this decay, such as 0.999, instead of the last ones.",
            rich_help_panel=RECIPE,
        ),
    ] = 0.0,
    seed: Seed = 42,
    ensemble: Annotated[
        int,
        typer.Option(
            help="Networks to train, each with its own seed: time and size of each more.", rich_help_panel=RECIPE
        ),
    ] = 1,
    pos_weight: Annotated[
        str,
        typer.Option(
            metavar="X|balanced",
            help="Factor on the loss weight of lenses; balanced: as much as all others. Above 1, p comes out too high "
            "until it is calibrated.",
            rich_help_panel=DATA,
        ),
    ] = "1.0",
    positive_share: Annotated[
        str,
        typer.Option(
            metavar="F|data",
            help="Fraction of lenses in each batch, 0.5 for balanced ones; lenses repeat, and p comes out too high "
            "until it is calibrated. data: as in the data, needed with --pos-weight.",
            rich_help_panel=DATA,
        ),
    ] = "0.3",
    samples_per_epoch: Annotated[
        int | None, typer.Option(help="Rows per epoch; default: all.", rich_help_panel=DATA)
    ] = None,
    tier_b_target: Annotated[
        float, typer.Option(help="Target for tier B lenses, less than 1 where they are doubtful.", rich_help_panel=DATA)
    ] = 1.0,
    label_smoothing: Annotated[
        float,
        typer.Option(
            help="Move all training targets this far towards 1/2: less sure of wrong labels, and of right ones.",
            rich_help_panel=DATA,
        ),
    ] = 0.0,
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
    shift: Annotated[int, typer.Option(help="Maximum shift, pixels; at most 5.", rich_help_panel=AUGMENTATION)] = 2,
    noise: Annotated[
        float, typer.Option(help="Maximum added noise, in background sigma; at most 0.1.", rich_help_panel=AUGMENTATION)
    ] = 0.05,
    blur: Annotated[
        float, typer.Option(help="Maximum Gaussian blur sigma, pixels.", rich_help_panel=AUGMENTATION)
    ] = 0.25,
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
            help="Where cutouts are kept: device (GPU memory, fastest), host, or stream (any size, at the speed of the "
            "store); auto picks by size. The weights are the same, unless auto keeps cutouts as bfloat16 to fit a GPU.",
            rich_help_panel=MACHINE,
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

    docs/science/training.md has what each setting changes and costs.

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
        training_display(ensemble, team.leads) as display,
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
            recipe=recipe,
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
