"""`lensctl emr submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensctl.cli import report
from lensctl.cli.command import LOOK, app, command
from lensctl.cli.emr_group import CommandLine, Region, group, region_of, service_in
from lensctl.rules.config import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lensctl.emr.machines import Machines
    from lensctl.emr.service import Service
    from lensctl.emr.work import Work


RELEASE = "emr-7.10.0"


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
    release: Annotated[str, typer.Option(help="EMR release.")] = RELEASE,
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
    import tempfile
    import uuid

    from lensctl.emr import machines, request
    from lensctl.emr import staging as stages
    from lensctl.emr import wheel as wheels
    from lensctl.emr.work import Work
    from lensctl.rules.errors import InputError

    arguments, settings_file, reads, writes = _parsed(command_line)
    overrides = {"kind": instance_type, "nodes": nodes, "hours": max_hours, "market": market, "max_price": max_price}
    chosen = machines.choose(preset, **overrides)
    if cluster and (
        subnet or keep or executor_memory or any(overrides[name] for name in ("kind", "nodes", "max_price"))
    ):
        raise InputError(f"cluster {cluster} already has its machines", "omit the options for new ones")
    if not (subnet or cluster):
        raise InputError("no subnet is given for the nodes", "add --subnet with a subnet of the region")
    where = region_of(region)
    source = wheels.checkout(checkout)
    spark = machines.spark_settings(source.bootstrap.parent, chosen.kind, executor_memory)
    with tempfile.TemporaryDirectory() as folder:
        staged = stages.stage(staging, source, wheel or source.wheel(Path(folder)), settings_file)
        token = uuid.UUID(int=0) if dry_run else uuid.uuid4()
        work = Work(staged.digest, staged.record(str(token)), chosen.hours, writes, tuple(arguments), staged.config)
        step = request.step(work, staged, where, alone=not (keep or cluster))
        cluster_request = request.cluster(
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
            body = {"JobFlowId": cluster, "Steps": [step]} if cluster else cluster_request
            api = "AddJobFlowSteps" if cluster else "RunJobFlow"
            report.say(
                "dry run: AWS was not contacted, so subnet and inputs are unchecked; the record's name is a placeholder"
            )
            report.receipt("emr", writes[0], dry_run=True, **facts, api=api, uploads=list(staged.content), request=body)
            return
        service = service_in(where)
        if cluster:
            _refuse_other_wheel(service, cluster, staged.wheel)
        else:
            service.refuse_subnet(str(subnet), 1 + chosen.nodes)
        _refuse_missing(reads)
        staged.upload()
    if cluster:
        report.receipt("emr", writes[0], **facts, cluster=cluster, step=service.add(cluster, step))
        return
    started = service.launch(cluster_request)
    report.say(f"lensctl emr wait {started} --region {where}  waits for it and verifies its outputs")
    report.receipt("emr", writes[0], **facts, cluster=started, step=service.steps(started)[0].id)


def _parsed(line: list[str]) -> tuple[list[str], Path | None, tuple[str, ...], tuple[str, ...]]:
    """The command line for the cluster, its config file, inputs and outputs; bad ones are refused before submission."""
    import importlib

    from lensctl.emr.work import READS, paths
    from lensctl.rules.errors import InputError
    from lensctl.rules.survey_file import named_survey, text_of_survey

    name, *arguments = line
    if name not in READS:
        raise InputError(f"'{name}' does not run on a cluster{nearest(name, READS)}", f"use {', '.join(READS)}")
    importlib.import_module(f"lensctl.cli.{name}")
    with typer.main.get_command(app).commands[name].make_context(name, list(arguments)) as context:  # type: ignore[attr-defined]
        values = dict(context.params)
    reads, writes = paths(name, values)
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
    return [name, *kept], values["config"], reads, writes


def _refuse_missing(reads: Sequence[str]) -> None:
    """Raise InputError for a missing input, before anything costs money."""
    from lensctl.io.storage import s3
    from lensctl.io.storage.s3 import is_s3
    from lensctl.io.tables.paths import files_of
    from lensctl.rules.errors import InputError

    for path in reads:
        if any(character in path for character in "*?["):
            files_of(path)
        elif is_s3(path) and not s3.exists(path):
            raise InputError(f"{path}: no such object", "check the bucket and the key")


def _refuse_other_wheel(service: Service, cluster: str, wheel: str) -> None:
    """Raise InputError if a cluster has terminated or has another wheel installed."""
    from lensctl.emr.service import ENDED
    from lensctl.rules.errors import InputError

    state, _ = service.cluster(cluster)
    if state.state in (*ENDED, "TERMINATING"):
        raise InputError(f"cluster {cluster} is {state.state}", "start a new one: omit --cluster")
    if wheel not in service.bootstrap(cluster):
        raise InputError(
            f"cluster {cluster} has a different wheel installed, not {wheel}",
            "start a new one, or check out the code it was built from",
        )


def _show_request(machines: Machines, region: str, work: Work, *, idle: int, keep: bool, cluster: str | None) -> None:
    rows: list[tuple[str, str]] = [("command", " ".join(work.command)), ("region", region), ("wheel", work.wheel)]
    if cluster:
        rows.append(("cluster", cluster))
    else:
        price = "" if machines.market != "spot" else f", at most {machines.max_price or 'the on-demand price'}"
        rows += [
            ("nodes", f"1 + {machines.nodes} {machines.kind}, {machines.market}{price}"),
            ("limit", f"{machines.hours:g} h, {machines.most_node_hours:g} node-hours"),
            ("terminates", f"{'' if keep else 'after the step, or '}after {idle} idle minutes"),
        ]
    report.table("Request", ("", ""), rows)
