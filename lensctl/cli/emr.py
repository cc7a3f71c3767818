"""`lensctl emr`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lensctl.cli import report
from lensctl.cli.command import LOOK, app, command
from lensctl.rules.config import nearest, read_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lensctl.emr.logs import Log
    from lensctl.emr.machines import Machines
    from lensctl.emr.service import Service, State
    from lensctl.emr.waiting import Patience
    from lensctl.emr.work import Work

RELEASE = "emr-7.10.0"
LAST_LINES, MOST_BAD_LINES = 20, 20

Region = Annotated[
    str | None, typer.Option("--region", help="AWS region; else that of your AWS configuration.", show_default=False)
]
Cluster = Annotated[str, typer.Argument(metavar="CLUSTER", help="Id of the cluster, j-….")]
Step = Annotated[
    str | None, typer.Argument(metavar="[STEP]", help="Id of the step; the last one if not given.", show_default=False)
]
CommandLine = Annotated[list[str], typer.Argument(metavar="COMMAND ARGS...", help="pool, sample or cutout, as usual.")]

group = typer.Typer(rich_markup_mode=None)
app.add_typer(group, name="emr", rich_help_panel=LOOK)


def _apply(context: typer.Context, path: Path | None) -> Path | None:
    """Make the settings of a config file the defaults of every action that has them."""
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

    `submit` starts a cluster that does one command and ends; `wait` proves what it made. Every action has its --help.

    \b
    Example: lensctl emr submit --dry-run --region us-east-2 --subnet subnet-0a1b2c3d --staging s3://survey/emr \\
      sample s3://survey/pool s3://survey/negatives.parquet --positives s3://survey/positives.parquet
    """


@command("submit", LOOK, group, context_settings={"allow_interspersed_args": False})
def submit(
    command_line: CommandLine,
    staging: Annotated[str, typer.Option("--staging", metavar="S3", help="Folder for wheel, logs and records.")],
    preset: Annotated[str, typer.Option(help="test, medium, large-xlarge or full.")] = "test",
    region: Region = None,
    subnet: Annotated[str | None, typer.Option(help="Subnet of that region for the nodes.", show_default=False)] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ID", help="Add a step to this cluster, start none.", show_default=False)
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option(help="m5.xlarge or m5.2xlarge, instead of the preset's.", show_default=False)
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="Core nodes, instead of the preset's.", show_default=False)
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0.01, help="End the step after so long (the preset's).", show_default=False)
    ] = None,
    market: Annotated[str, typer.Option(help="Core nodes: on-demand or spot; the primary is on demand.")] = "on-demand",
    max_price: Annotated[
        float | None,
        typer.Option(min=0.001, help="Spot: most USD a node and hour; the on-demand price.", show_default=False),
    ] = None,
    executor_memory: Annotated[
        str | None, typer.Option(help="At most 4g on m5.xlarge, 10g on m5.2xlarge.", show_default=False)
    ] = None,
    idle_minutes: Annotated[int, typer.Option(min=1, max=10_080, help="End the cluster when idle so long.")] = 30,
    keep: Annotated[bool, typer.Option("--keep", help="Keep it for further steps, until it was idle.")] = False,
    release: Annotated[str, typer.Option(help="EMR release.")] = RELEASE,
    service_role: Annotated[str, typer.Option(help="IAM role of EMR.")] = "EMR_DefaultRole",
    instance_role: Annotated[str, typer.Option(help="IAM role of the nodes.")] = "EMR_EC2_DefaultRole",
    wheel: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Wheel, instead of building one.", show_default=False)
    ] = None,
    checkout: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Code to build it from; this one.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask nothing of AWS, print the exact request.")] = False,
) -> None:
    """Start a cluster that does one command and ends, or add a step to one that is there.

    COMMAND ARGS... is the command line of your laptop, with paths on S3; options of submit come before it, and --engine
    spark is added. Uploads a wheel of this very code, its constraints, the bootstrap script, and the file of --config.

    Example: lensctl emr submit --preset medium --region us-east-2 --subnet subnet-0a1b2c3d --staging s3://survey/emr \\
      pool 's3://survey/sweep/*.fits' s3://survey/pool --lenses s3://survey/lenses.csv
    """
    import tempfile
    import uuid

    from lensctl.emr import machines, request
    from lensctl.emr import staging as stages
    from lensctl.emr import wheel as wheels
    from lensctl.emr.work import Work
    from lensctl.rules.errors import InputError

    words, settings_file, reads, writes = _understood(command_line)
    of = {"kind": instance_type, "nodes": nodes, "hours": max_hours, "market": market, "max_price": max_price}
    chosen = machines.choose(preset, **of)
    if cluster and (subnet or keep or executor_memory or any(of[name] for name in ("kind", "nodes", "max_price"))):
        raise InputError(f"the machines of {cluster} are what they are", "leave out the options for new ones")
    if not (subnet or cluster):
        raise InputError("no subnet is given for the nodes", "add --subnet, one of that region")
    where = _region(region)
    source = wheels.checkout(checkout)
    spark = machines.spark_settings(source.bootstrap.parent, chosen.kind, executor_memory)
    with tempfile.TemporaryDirectory() as folder:
        staged = stages.stage(staging, source, wheel or source.wheel(Path(folder)), settings_file)
        token = uuid.UUID(int=0) if dry_run else uuid.uuid4()
        work = Work(staged.digest, staged.record(str(token)), chosen.hours, writes, tuple(words), staged.config)
        step = request.step(work, staged, where, alone=not (keep or cluster))
        asked = request.cluster(
            chosen,
            staged,
            spark,
            [step],
            subnet=subnet,
            release=release,
            roles=(service_role, instance_role),
            idle_minutes=idle_minutes,
            keep=keep,
        )
        _show_request(chosen, where, work, idle=idle_minutes, keep=keep, cluster=cluster)
        facts: dict[str, Any] = {"action": "submit", "region": where, "wheel": staged.digest, "record": work.record}
        if dry_run:
            body = {"JobFlowId": cluster, "Steps": [step]} if cluster else asked
            api = "AddJobFlowSteps" if cluster else "RunJobFlow"
            report.say(
                "a dry run: AWS was asked nothing, not for the subnet or the inputs; the record's name is not drawn yet"
            )
            report.receipt("emr", writes[0], dry_run=True, **facts, api=api, uploads=list(staged.content), request=body)
            return
        service = _service(where)
        if cluster:
            _refuse_other_wheel(service, cluster, staged.wheel)
        else:
            service.refuse_subnet(str(subnet), 1 + chosen.nodes)
        _refuse_missing(reads)
        staged.upload()
    if cluster:
        report.receipt("emr", writes[0], **facts, cluster=cluster, step=service.add(cluster, step))
        return
    started = service.launch(asked)
    report.say(f"lensctl emr wait {started} --region {where}  waits for it, and proves what it made")
    report.receipt("emr", writes[0], **facts, cluster=started, step=service.steps(started)[0].id)


@command("status", LOOK, group)
def status(cluster: Cluster, region: Region = None) -> None:
    """Say how a cluster and its steps are.

    Example: lensctl emr status j-1ABCDEFGHIJK --region us-east-2
    """
    service = _service(_region(region))
    state, logs = service.cluster(cluster)
    steps = service.steps(cluster)
    rows = [(each.id, each.name, each.state, each.reason) for each in (state, *steps)]
    report.table(f"In {service.region}", ("id", "name", "state", "why"), rows)
    told = {"state": state.state, "reason": state.reason, "logs": logs, "steps": [each.as_dict() for each in steps]}
    report.receipt("emr", logs, action="status", region=service.region, cluster=cluster, **told)


@command("wait", LOOK, group)
def wait(
    cluster: Cluster,
    step: Step = None,
    region: Region = None,
    every: Annotated[float, typer.Option(min=0.01, help="Seconds between two looks.")] = 30.0,
    timeout_hours: Annotated[
        float | None, typer.Option(min=0, help="Give up after so long; the cluster goes on.", show_default=False)
    ] = None,
    log_minutes: Annotated[float, typer.Option(min=0, help="Wait so long for the logs of what failed.")] = 6.0,
) -> None:
    """Wait for a step, and prove what it made.

    Ends with 0 only where the step is COMPLETED, every output it named is there, can be read and carries the step's
    provenance, and all its objects were made by the very wheel that was submitted. Else the reason, the last lines of
    the logs and their place are shown.

    Example: lensctl emr wait j-1ABCDEFGHIJK --region us-east-2
    """
    from lensctl.emr import logs, proof, work
    from lensctl.emr.service import DONE
    from lensctl.emr.waiting import ended
    from lensctl.io.storage import s3

    service = _service(_region(region))
    folder, patience = service.cluster(cluster)[1], _patience(every)
    step = step or _last_step(service, cluster)
    told = work.from_arguments(service.step(cluster, step)[1])
    state = ended(service, cluster, step, patience, timeout_hours)
    if state.state != DONE:
        _fail(state, cluster, step, folder, patience, log_minutes)
    found = logs.of_step(folder, step) if folder else []
    _show_bad(found)
    rows = proof.prove(told, s3.list_objects(told.record.rpartition("/")[0]))
    report.table("Proved", ("output", "rows"), rows.items())
    bad = sum(len(log.bad) for log in found)
    facts = {"state": state.state, "wheel": told.wheel, "rows": rows, "error_lines": bad}
    report.receipt("emr", told.outputs[0], action="wait", cluster=cluster, step=step, **facts)


@command("logs", LOOK, group)
def logs(
    cluster: Cluster,
    step: Step = None,
    region: Region = None,
    lines: Annotated[int, typer.Option(min=1, help="Last lines of each log.")] = LAST_LINES,
) -> None:
    """Show the logs of a step, or of a bootstrap that failed.

    EMR puts them on S3 some minutes after they were written.

    Example: lensctl emr logs j-1ABCDEFGHIJK --region us-east-2 --lines 100
    """
    from lensctl.emr import logs
    from lensctl.rules.errors import InputError

    service = _service(_region(region))
    folder = service.cluster(cluster)[1]
    if not folder:
        raise InputError(f"cluster {cluster} keeps no logs", "start clusters with `lensctl emr submit`")
    step = step or _last_step(service, cluster)
    found = [*logs.of_bootstrap(folder), *logs.of_step(folder, step)]
    if not found:
        raise InputError(f"{folder}: there are no logs yet", "EMR brings them every five minutes: ask again")
    _show_last(found, lines)
    places = {log.url: len(log.bad) for log in found}
    report.receipt("emr", folder, action="logs", cluster=cluster, step=step, error_lines=places)


@command("terminate", LOOK, group)
def terminate(cluster: Cluster, region: Region = None) -> None:
    """End a cluster at once, whatever it does.

    Example: lensctl emr terminate j-1ABCDEFGHIJK --region us-east-2
    """
    service = _service(_region(region))
    before, logs = service.cluster(cluster)
    service.terminate(cluster)
    report.say(f"{cluster} ({before.name}) was {before.state}, and ends")
    report.receipt("emr", logs, action="terminate", region=service.region, cluster=cluster, was=before.state)


@command("list", LOOK, group)
def list_(
    region: Region = None,
    all: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
) -> None:
    """List the clusters that `lensctl emr submit` started.

    Example: lensctl emr list --region us-east-2
    """
    from lensctl.emr.request import NAME

    service = _service(_region(region))
    found = service.clusters(NAME, ended=all)
    rows = [(each.id, each.name, each.state, each.reason) for each in found]
    report.table(f"In {service.region}", ("id", "name", "state", "why"), rows)
    report.receipt("emr", "", action="list", region=service.region, clusters=[each.as_dict() for each in found])


@command("step", LOOK, group, hidden=True, context_settings={"allow_interspersed_args": False})
def step(
    command_line: CommandLine,
    wheel: Annotated[str, typer.Option(help="Digest of the wheel that must be installed here.")],
    record: Annotated[str, typer.Option(help="Where to write what was made.")],
    hours: Annotated[float, typer.Option(help="End the command after so long.")],
    writes: Annotated[list[str], typer.Option(help="Outputs of the command.")],
    command_config: Annotated[str | None, typer.Option(help="File for its --config.")] = None,
) -> int:
    """Do a command on a cluster and write down what it made; `submit` makes this line.

    Example: lensctl emr step --wheel sha256:… --record s3://… --hours 4 --writes s3://… sample …
    """
    import json

    from lensctl.emr.run_step import do
    from lensctl.emr.work import Work

    done = do(Work(wheel, record, hours, tuple(writes), tuple(command_line), command_config))
    if done.receipt:
        report.out(json.dumps(done.receipt))
    return done.status


def _understood(line: list[str]) -> tuple[list[str], Path | None, tuple[str, ...], tuple[str, ...]]:
    """A command line as the cluster will have it, its config file, its inputs and outputs; refused here, not there."""
    import importlib

    from lensctl.emr.work import READS, paths
    from lensctl.rules.errors import InputError

    name, *words = line
    if name not in READS:
        raise InputError(f"'{name}' does not run on a cluster{nearest(name, READS)}", f"use {', '.join(READS)}")
    importlib.import_module(f"lensctl.cli.{name}")
    with typer.main.get_command(app).commands[name].make_context(name, list(words)) as context:  # type: ignore[attr-defined]
        values = dict(context.params)
    reads, writes = paths(name, values)
    kept: list[str] = []
    given = iter(words)
    for word in given:
        if word == "--config":
            next(given)
        elif not word.startswith("--config="):
            kept.append(word)
    if values["engine"] != "spark":
        if any(word.partition("=")[0] == "--engine" for word in words):
            raise InputError(f"--engine {values['engine']} uses one machine of a cluster", "leave it out")
        kept += ["--engine", "spark"]
    return [name, *kept], values["config"], reads, writes


def _region(given: str | None) -> str:
    """The region, given or configured, for this process and whatever it asks; never a guess."""
    import os

    from lensctl.io.storage import s3
    from lensctl.rules.errors import InputError

    if given:
        os.environ["AWS_REGION"] = given
    found = given or s3.setting().region
    if not found:
        raise InputError("no AWS region is given", "add --region, or set AWS_REGION or `region` in your AWS profile")
    return found


def _service(region: str) -> Service:
    """EMR in a region; InputError where there are no credentials."""
    from lensctl.emr.service import Service
    from lensctl.io.storage import s3

    s3.account()
    return Service(region)


def _refuse_missing(reads: Sequence[str]) -> None:
    """Raise InputError for an input that is not there, before anything is paid for."""
    from lensctl.io.storage import s3
    from lensctl.io.storage.s3 import is_s3
    from lensctl.io.tables.paths import files_of
    from lensctl.rules.errors import InputError

    for path in reads:
        if any(letter in path for letter in "*?["):
            files_of(path)
        elif is_s3(path) and not s3.exists(path):
            raise InputError(f"{path}: no such object", "check the bucket and the key")


def _refuse_other_wheel(service: Service, cluster: str, wheel: str) -> None:
    """Raise InputError where a cluster has ended, or has installed something else."""
    from lensctl.emr.service import ENDED
    from lensctl.rules.errors import InputError

    state, _ = service.cluster(cluster)
    if state.state in (*ENDED, "TERMINATING"):
        raise InputError(f"cluster {cluster} is {state.state}", "start a new one: leave out --cluster")
    if wheel not in service.bootstrap(cluster):
        raise InputError(
            f"cluster {cluster} has installed another wheel than {wheel}",
            "start a new one, or go back to the code that it has",
        )


def _show_request(machines: Machines, region: str, work: Work, *, idle: int, keep: bool, cluster: str | None) -> None:
    rows: list[tuple[str, str]] = [("command", " ".join(work.command)), ("region", region), ("wheel", work.wheel)]
    if cluster:
        rows.append(("cluster", cluster))
    else:
        price = "" if machines.market != "spot" else f", at most {machines.max_price or 'the on-demand price'}"
        rows += [
            ("nodes", f"1 + {machines.nodes} {machines.kind}, {machines.market}{price}"),
            ("longest", f"{machines.hours:g} h, {machines.most_node_hours:g} node-hours"),
            ("ends", f"{'' if keep else 'after the step, or '}when idle for {idle} minutes"),
        ]
    report.table("Request", ("", ""), rows)


def _last_step(service: Service, cluster: str) -> str:
    from lensctl.rules.errors import InputError

    steps = service.steps(cluster)
    if not steps:
        raise InputError(f"cluster {cluster} has no step", "add one: `lensctl emr submit --cluster`")
    return steps[-1].id


def _patience(every: float) -> Patience:
    """The clock that verbs do not have."""
    import time

    from lensctl.emr.waiting import Patience

    return Patience(time.monotonic, time.sleep, report.say, every)


def _fail(state: State, cluster: str, step: str, folder: str, patience: Patience, log_minutes: float) -> NoReturn:
    """Show what the logs say of a step or cluster that failed, and raise why."""
    from lensctl.emr.waiting import logs_of_failure
    from lensctl.rules.errors import LensctlError

    of_cluster = state.id == cluster
    place = "its cluster keeps none"
    if folder:
        bootstrap = of_cluster and "bootstrap" in state.reason.lower()
        place, found = logs_of_failure(folder, step, bootstrap=bootstrap, patience=patience, minutes=log_minutes)
        _show_last(found, LAST_LINES)
        _show_bad(found)
    what = f"cluster {cluster}" if of_cluster else f"step {step} of cluster {cluster}"
    why = state.reason or "EMR does not say why"
    raise LensctlError(f"{what} is {state.state}: {why}", f"see its logs ({place}), mend it, and submit it again")


def _show_last(found: Sequence[Log], lines: int) -> None:
    for log in found:
        if log.lines:
            report.say("\n".join((f"--- {log.url}", *log.lines[-lines:])))


def _show_bad(found: Sequence[Log]) -> None:
    """Show the lines of errors; a step may be COMPLETED and have them."""
    for log in found:
        for line in log.bad[:MOST_BAD_LINES]:
            report.say(f"{log.url.rsplit('/', 1)[-1]}: {line}")
        if len(log.bad) > MOST_BAD_LINES:
            report.say(f"{log.url}: {len(log.bad) - MOST_BAD_LINES:,} more lines of errors")
