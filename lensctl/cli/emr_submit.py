"""`lensctl emr submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensctl.cli import report
from lensctl.cli.command import LOOK, app, command
from lensctl.cli.emr_group import CommandLine, Region, group
from lensctl.rules.config import nearest

if TYPE_CHECKING:
    from lensctl.emr import work


@command("submit", LOOK, group, context_settings={"allow_interspersed_args": False})
def submit(
    command_line: CommandLine,
    staging: Annotated[str, typer.Option("--staging", metavar="S3", help="Folder for wheel, logs and records.")],
    preset: Annotated[str, typer.Option(help="test, medium, large-xlarge or full.")] = "test",
    region: Region = None,
    subnet: Annotated[str | None, typer.Option(help="Subnet of that region for the nodes.", show_default=False)] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ID", help="Add a step to this running cluster.", show_default=False)
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option(help="m5.xlarge or m5.2xlarge, instead of the preset's.", show_default=False)
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="Core nodes, instead of the preset's.", show_default=False)
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0.01, help="Time limit of the step (default: preset).", show_default=False)
    ] = None,
    market: Annotated[
        str, typer.Option(help="Core nodes: on-demand or spot; the primary is always on-demand.")
    ] = "on-demand",
    max_price: Annotated[
        float | None,
        typer.Option(min=0.001, help="Spot: maximum USD per node-hour (default: on-demand price).", show_default=False),
    ] = None,
    executor_memory: Annotated[
        str | None, typer.Option(help="At most 4g on m5.xlarge, 10g on m5.2xlarge.", show_default=False)
    ] = None,
    idle_minutes: Annotated[int, typer.Option(min=1, max=10_080, help="Terminate after idling this long.")] = 30,
    keep: Annotated[bool, typer.Option("--keep", help="Keep it for further steps, until idle.")] = False,
    release: Annotated[str, typer.Option(help="EMR release.")] = "emr-7.10.0",
    service_role: Annotated[str, typer.Option(help="IAM role of EMR.")] = "EMR_DefaultRole",
    instance_role: Annotated[str, typer.Option(help="IAM role of the nodes.")] = "EMR_EC2_DefaultRole",
    wheel: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Use this wheel instead of building one.", show_default=False)
    ] = None,
    checkout: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Checkout to build from (default: this one).", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the exact request without contacting AWS.")] = False,
) -> None:
    """Start a cluster that runs one command and terminates, or add a step to a running one.

    COMMAND ARGS... is the command line you would run locally, with S3 paths; options of submit come before it, and
    --engine spark is added. Uploads a wheel of this code, its constraints, the bootstrap script and the --config file.

    Example: lensctl emr submit --preset medium --region us-east-2 --subnet subnet-0a1b2c3d --staging s3://survey/emr \\
      pool 's3://survey/sweep/*.fits' s3://survey/pool --lenses s3://survey/lenses.csv
    """
    from lensctl.emr import submit

    report.receipt(
        **submit(
            _parsed(command_line),
            staging=staging,
            preset=preset,
            region=region,
            subnet=subnet,
            cluster=cluster,
            instance_type=instance_type,
            nodes=nodes,
            max_hours=max_hours,
            market=market,
            max_price=max_price,
            executor_memory=executor_memory,
            idle_minutes=idle_minutes,
            keep=keep,
            release=release,
            service_role=service_role,
            instance_role=instance_role,
            wheel=wheel,
            checkout=checkout,
            dry_run=dry_run,
            report=report,
        )
    )


def _parsed(line: list[str]) -> work.CommandLine:
    """The command line for the cluster; a bad one is refused before submission."""
    import importlib

    from lensctl.emr import work
    from lensctl.rules.errors import InputError
    from lensctl.rules.survey_file import named_survey, text_of_survey

    name, *arguments = line
    if name not in work.READS:
        raise InputError(
            f"'{name}' does not run on a cluster{nearest(name, work.READS)}", f"use {', '.join(work.READS)}"
        )
    importlib.import_module(f"lensctl.cli.{name}")
    with typer.main.get_command(app).commands[name].make_context(name, list(arguments)) as context:  # type: ignore[attr-defined]
        values = dict(context.params)
    reads, writes = work.paths(name, values)
    kept: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--config":
            next(remaining)
        elif not argument.startswith("--config="):
            kept.append(argument)
    if values["engine"] != "spark":
        if any(argument.partition("=")[0] == "--engine" for argument in arguments):
            raise InputError(f"--engine {values['engine']} uses only one machine of a cluster", "omit it")
        kept += ["--engine", "spark"]
    if values["survey"]:  # by value: the cluster does not see the file
        kept += ["--survey", text_of_survey(named_survey(values["survey"]))]
    return work.CommandLine((name, *kept), values["config"], reads, writes)
