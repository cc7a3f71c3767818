"""`lensctl selection`: the command group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lensctl.cli.command import MODEL, app
from lensctl.cli.help import HelpGroup
from lensctl.rules.config import read_config

group = typer.Typer(cls=HelpGroup, rich_markup_mode=None)
app.add_typer(group, name="selection", rich_help_panel=MODEL)


def _apply(context: typer.Context, path: Path | None) -> Path | None:
    """Use the settings of a config file as defaults of every action that has them."""
    if path is not None:
        actions = {name: [p.name for p in each.params] for name, each in context.command.commands.items()}  # type: ignore[attr-defined]
        known = {name for names in actions.values() for name in names} - {"config"}
        values = read_config(path, known)
        context.default_map = {
            action: {name: value for name, value in values.items() if name in names}
            for action, names in actions.items()
        }
    return path


@group.callback()
def selection(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="YAML file of settings; options win.", is_eager=True, callback=_apply),
    ] = None,
) -> None:
    """Measure which lenses a frozen model finds, and use it.

    Each has --help; docs/science/selection.md explains their use.

    Example: lensctl selection observe scored.parquet injected.zarr arcs.parquet
    """
