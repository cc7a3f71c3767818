"""What all commands share: registration, help panels, `--config` and `--quiet`."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import typer.completion

from lensctl import __version__
from lensctl.cli import report
from lensctl.cli.help import HelpCommand, HelpGroup
from lensctl.rules.config import read_config
from lensctl.rules.errors import InputError

app = typer.Typer(
    name="lensctl",
    cls=HelpGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

TABLES, PIXELS, MODEL, LOOK = "Tables", "Pixels", "Model", "Look around"


Shell = Literal["bash", "zsh", "fish", "powershell", "pwsh"]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lensctl {__version__}")
        raise typer.Exit


@app.callback()
def lensctl(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)
    ] = False,
    install_completion: Annotated[
        Shell | None,
        typer.Option(
            metavar="SHELL",
            help="Make a shell complete command lines: bash, zsh, fish, powershell or pwsh.",
            callback=typer.completion.install_callback,
        ),
    ] = None,
    show_completion: Annotated[
        Shell | None,
        typer.Option(metavar="SHELL", help="Print the script that does so.", callback=typer.completion.show_callback),
    ] = None,
) -> None:
    """From a survey on disk to a verified, frozen strong-lens finder: one command per step, files in, files out.

    Terms are explained in docs/glossary.md.
    """


def _apply(context: typer.Context, path: Path | None) -> Path | None:
    """Use the settings of a config file as defaults; command-line options take precedence."""
    if path is not None:
        options = {p.name: p for p in context.command.params if p.param_type_name == "option" and p.name}
        known = [name for name in options if name not in ("config", "help")]
        values = {
            name: _as_option(value, repeatable=getattr(options[name], "multiple", False))
            for name, value in read_config(path, known).items()
        }
        context.default_map = {**(context.default_map or {}), **values}
    return path


def _as_option(value: Any, *, repeatable: bool) -> Any:
    """A YAML value in command-line form: a mapping becomes one `key=a,b` per key, one value of a list that list."""
    if isinstance(value, dict):
        return [f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in value.items()]
    if not repeatable:
        return value
    return [] if value is None else [str(each) for each in (value if isinstance(value, list) else [value])]


def _refuse_infinite(values: Mapping[str, Any]) -> None:
    """Raise InputError for an option that is infinite, or NaN, of which no comparison tells that it is out of range."""
    for name, value in values.items():
        parts = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
            raise InputError(f"--{name.replace('_', '-')} is not a finite number", "give a number")


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file of settings; command-line options take precedence.",
        is_eager=True,
        callback=_apply,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Write nothing but errors to stderr.")]


def command(
    name: str, panel: str, group: typer.Typer = app, **settings: Any
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Register a function as `lensctl NAME`, with `--config` and `--quiet` added to its options.

    The function's docstring is its help text and has an `Example:` line. It returns None or an exit status. With
    `group`, the command is `lensctl GROUP NAME`; `settings` are passed to Typer.
    """

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        signature = inspect.signature(function, eval_str=True)
        shared = (
            inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Config),
            inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet),
        )
        parameters = [*signature.parameters.values(), *shared]

        @functools.wraps(function)
        def run(**values: Any) -> int | None:
            values.pop("config")
            _refuse_infinite(values)
            with report.quietly(values.pop("quiet")):
                return function(**values)

        del run.__wrapped__  # otherwise Typer would not see the added options
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        group.command(name, rich_help_panel=panel, **{"cls": HelpCommand, **settings})(run)
        return function

    return register
