"""`lensctl emr status|wait|logs|terminate|list`; `submit` has its own module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lensctl.cli import (
    emr_submit,  # noqa: F401
    report,
)
from lensctl.cli.command import LOOK, command
from lensctl.cli.emr_group import Cluster, CommandLine, Region, group, region_of, service_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lensctl.emr.logs import Log
    from lensctl.emr.service import Service, State
    from lensctl.emr.waiting import Patience

LAST_LINES, MOST_BAD_LINES = 20, 20

Step = Annotated[
    str | None, typer.Argument(metavar="[STEP]", help="Id of the step (default: the last one).", show_default=False)
]


@command("status", LOOK, group)
def status(cluster: Cluster, region: Region = None) -> None:
    """Show the state of a cluster and its steps.

    Example: lensctl emr status j-1ABCDEFGHIJK --region us-east-2
    """
    service = service_in(region_of(region))
    state, logs = service.cluster(cluster)
    steps = service.steps(cluster)
    rows = [(each.id, each.name, each.state, each.reason) for each in (state, *steps)]
    report.table(f"In {service.region}", ("id", "name", "state", "reason"), rows)
    facts = {"state": state.state, "reason": state.reason, "logs": logs, "steps": [each.as_dict() for each in steps]}
    report.receipt("emr", logs, action="status", region=service.region, cluster=cluster, **facts)


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
    from lensctl.emr import logs, proof, work
    from lensctl.emr.service import DONE
    from lensctl.emr.waiting import wait_for_step
    from lensctl.io.storage import s3

    service = service_in(region_of(region))
    folder, patience = service.cluster(cluster)[1], _patience(every)
    step = step or _last_step(service, cluster)
    submitted = work.from_arguments(service.step(cluster, step)[1])
    state = wait_for_step(service, cluster, step, patience, timeout_hours)
    if state.state != DONE:
        _fail(state, cluster, step, folder, patience, log_minutes)
    found = logs.of_step(folder, step) if folder else []
    _show_bad(found)
    rows = proof.prove(submitted, s3.list_objects(submitted.record.rpartition("/")[0]))
    report.table("Verified", ("output", "rows"), rows.items())
    bad = sum(len(log.bad) for log in found)
    facts = {"state": state.state, "wheel": submitted.wheel, "rows": rows, "error_lines": bad}
    report.receipt("emr", submitted.outputs[0], action="wait", cluster=cluster, step=step, **facts)


@command("logs", LOOK, group)
def logs(
    cluster: Cluster,
    step: Step = None,
    region: Region = None,
    lines: Annotated[int, typer.Option(min=1, help="Last lines of each log.")] = LAST_LINES,
) -> None:
    """Show the logs of a step or of a failed bootstrap.

    EMR uploads them to S3 a few minutes after they are written.

    Example: lensctl emr logs j-1ABCDEFGHIJK --region us-east-2 --lines 100
    """
    from lensctl.emr import logs
    from lensctl.rules.errors import InputError

    service = service_in(region_of(region))
    folder = service.cluster(cluster)[1]
    if not folder:
        raise InputError(f"cluster {cluster} keeps no logs", "start clusters with `lensctl emr submit`")
    step = step or _last_step(service, cluster)
    found = [*logs.of_bootstrap(folder), *logs.of_step(folder, step)]
    if not found:
        raise InputError(f"{folder}: there are no logs yet", "EMR uploads them every five minutes: try again")
    _show_last(found, lines)
    places = {log.url: len(log.bad) for log in found}
    report.receipt("emr", folder, action="logs", cluster=cluster, step=step, error_lines=places)


@command("terminate", LOOK, group)
def terminate(cluster: Cluster, region: Region = None) -> None:
    """Terminate a cluster immediately, whatever it is doing.

    Example: lensctl emr terminate j-1ABCDEFGHIJK --region us-east-2
    """
    service = service_in(region_of(region))
    before, logs = service.cluster(cluster)
    service.terminate(cluster)
    report.say(f"{cluster} ({before.name}) was {before.state}; terminating")
    report.receipt("emr", logs, action="terminate", region=service.region, cluster=cluster, was=before.state)


@command("list", LOOK, group)
def list_(
    region: Region = None,
    all: Annotated[bool, typer.Option("--all", help="Include terminated clusters.")] = False,
) -> None:
    """List the clusters that `lensctl emr submit` started.

    Example: lensctl emr list --region us-east-2
    """
    from lensctl.emr.request import NAME

    service = service_in(region_of(region))
    found = service.clusters(NAME, ended=all)
    rows = [(each.id, each.name, each.state, each.reason) for each in found]
    report.table(f"In {service.region}", ("id", "name", "state", "reason"), rows)
    report.receipt("emr", "", action="list", region=service.region, clusters=[each.as_dict() for each in found])


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


def _last_step(service: Service, cluster: str) -> str:
    from lensctl.rules.errors import InputError

    steps = service.steps(cluster)
    if not steps:
        raise InputError(f"cluster {cluster} has no step", "add one: `lensctl emr submit --cluster`")
    return steps[-1].id


def _patience(every: float) -> Patience:
    """How to wait, on the real clock."""
    import time

    from lensctl.emr.waiting import Patience

    return Patience(time.monotonic, time.sleep, report.say, every)


def _fail(state: State, cluster: str, step: str, folder: str, patience: Patience, log_minutes: float) -> NoReturn:
    """Show the logs of a failed step or cluster, and raise the reason."""
    from lensctl.emr.waiting import logs_of_failure
    from lensctl.rules.errors import LensctlError

    of_cluster = state.id == cluster
    place = "the cluster keeps none"
    if folder:
        bootstrap = of_cluster and "bootstrap" in state.reason.lower()
        place, found = logs_of_failure(folder, step, bootstrap=bootstrap, patience=patience, minutes=log_minutes)
        _show_last(found, LAST_LINES)
        _show_bad(found)
    what = f"cluster {cluster}" if of_cluster else f"step {step} of cluster {cluster}"
    why = state.reason or "EMR does not say why"
    raise LensctlError(f"{what} is {state.state}: {why}", f"see its logs ({place}), fix the cause, and submit it again")


def _show_last(found: Sequence[Log], lines: int) -> None:
    for log in found:
        if log.lines:
            report.say("\n".join((f"--- {log.url}", *log.lines[-lines:])))


def _show_bad(found: Sequence[Log]) -> None:
    """Show error lines; a COMPLETED step may have some."""
    for log in found:
        for line in log.bad[:MOST_BAD_LINES]:
            report.say(f"{log.url.rsplit('/', 1)[-1]}: {line}")
        if len(log.bad) > MOST_BAD_LINES:
            report.say(f"{log.url}: {len(log.bad) - MOST_BAD_LINES:,} more error lines")
