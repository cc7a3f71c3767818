"""`lensctl emr`: the command group, and what its actions share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli.command import LOOK, app
from lensctl.cli.help import HelpGroup
from lensctl.rules.config import read_config

group = typer.Typer(cls=HelpGroup, rich_markup_mode=None)
app.add_typer(group, name="emr", rich_help_panel=LOOK)


Region = Annotated[
    str | None, typer.Option("--region", help="AWS region (default: from your AWS configuration).", show_default=False)
]


Cluster = Annotated[str, typer.Argument(metavar="CLUSTER", help="Id of the cluster, j-….")]


CommandLine = Annotated[list[str], typer.Argument(metavar="COMMAND ARGS...", help="pool, sample or cutout, as usual.")]


def _apply(context: typer.Context, path: Path | None) -> Path | None:
    """Use the settings of a config file as defaults of every action that has them."""
    if path is not None:
        actions = {name: [p.name for p in each.params] for name, each in context.command.commands.items()}  # type: ignore[attr-defined]
        known = {name for names in actions.values() for name in names} - {"config", "command_line"}
        values = read_config(path, known)
        context.default_map = {
            action: {name: value for name, value in values.items() if name in names}
            for action, names in actions.items()
        }
    return path


@group.callback()
def emr(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="YAML file of settings; options win.", is_eager=True, callback=_apply),
    ] = None,
) -> None:
    """Run pool, sample or cutout on an EMR cluster.

    `submit` starts a cluster that runs one command and terminates; `wait` verifies its outputs. Each has --help.

    Example: lensctl emr submit --dry-run --region us-east-2 --subnet subnet-0a1b2c3d --staging s3://survey/emr \\
      sample s3://survey/pool s3://survey/negatives.parquet --positives s3://survey/positives.parquet
    """
