"""`lensctl emr status|wait|logs|terminate|list`; `submit` has its own module."""

from __future__ import annotations

from typing import Annotated

import typer

from lensctl.cli import (
    emr_submit,  # noqa: F401
    report,
)
from lensctl.cli.command import LOOK, command
from lensctl.cli.emr_group import Cluster, CommandLine, Region, group

Step = Annotated[
    str | None, typer.Argument(metavar="STEP", help="Id of the step (default: the last one).", show_default=False)
]


@command("status", LOOK, group)
def status(cluster: Cluster, region: Region = None) -> None:
    """Show the state of a cluster and its steps.

    Example: lensctl emr status j-1ABCDEFGHIJK --region us-east-2
    """
    from lensctl.emr import status

    report.receipt(**status(cluster, region=region, report=report))


@command("wait", LOOK, group)
def wait(
    cluster: Cluster,
    step: Step = None,
    region: Region = None,
    every: Annotated[float, typer.Option(min=0.01, help="Seconds between polls.")] = 30.0,
    timeout_hours: Annotated[
        float | None,
        typer.Option(min=0, help="Give up after this many hours; the cluster keeps running.", show_default=False),
    ] = None,
    log_minutes: Annotated[float, typer.Option(min=0, help="After a failure, wait this long for the logs.")] = 6.0,
) -> None:
    """Wait for a step and verify its outputs.

    Exits with 0 only if the step is COMPLETED, every output it declared exists, is readable and carries the step's
    provenance, and all its objects were made by the submitted wheel. Otherwise shows the reason, the last lines of the
    logs and where the logs are.

    Example: lensctl emr wait j-1ABCDEFGHIJK --region us-east-2
    """
    from lensctl.emr import wait

    report.receipt(
        **wait(
            cluster,
            step,
            region=region,
            every=every,
            timeout_hours=timeout_hours,
            log_minutes=log_minutes,
            report=report,
        )
    )


@command("logs", LOOK, group)
def logs(
    cluster: Cluster,
    step: Step = None,
    region: Region = None,
    lines: Annotated[int, typer.Option(min=1, help="Last lines of each log.")] = 20,
) -> None:
    """Show the logs of a step or of a failed bootstrap.

    EMR uploads them to S3 a few minutes after they are written.

    Example: lensctl emr logs j-1ABCDEFGHIJK --region us-east-2 --lines 100
    """
    from lensctl.emr import logs

    report.receipt(**logs(cluster, step, region=region, lines=lines, report=report))


@command("terminate", LOOK, group)
def terminate(cluster: Cluster, region: Region = None) -> None:
    """Terminate a cluster immediately, whatever it is doing.

    Example: lensctl emr terminate j-1ABCDEFGHIJK --region us-east-2
    """
    from lensctl.emr import terminate

    report.receipt(**terminate(cluster, region=region, report=report))


@command("list", LOOK, group)
def list_(
    region: Region = None,
    all: Annotated[bool, typer.Option("--all", help="Include terminated clusters.")] = False,
) -> None:
    """List the clusters that `lensctl emr submit` started.

    Example: lensctl emr list --region us-east-2
    """
    from lensctl.emr import clusters

    report.receipt(**clusters(region=region, ended=all, report=report))


@command("step", LOOK, group, hidden=True, context_settings={"allow_interspersed_args": False})
def step(
    command_line: CommandLine,
    wheel: Annotated[str, typer.Option(help="Digest the installed wheel must have.")],
    record: Annotated[str, typer.Option(help="Where to write the record of outputs.")],
    hours: Annotated[float, typer.Option(help="Time limit of the command.")],
    writes: Annotated[list[str], typer.Option(help="Outputs of the command.")],
    command_config: Annotated[str | None, typer.Option(help="File for its --config.")] = None,
) -> int:
    """Run a command on a cluster and record its outputs; `submit` builds this command line.

    Example: lensctl emr step --wheel sha256:… --record s3://… --hours 4 --writes s3://… sample …
    """
    import json

    from lensctl.emr.run_step import run_step
    from lensctl.emr.work import Work

    done = run_step(Work(wheel, record, hours, tuple(writes), tuple(command_line), command_config), report.say)
    if done.receipt:
        report.out(json.dumps(done.receipt))
    return done.status
