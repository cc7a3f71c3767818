"""Submission of one command to a cluster, checked before it costs anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lensctl.emr import machines, request
from lensctl.emr import staging as stages
from lensctl.emr import wheel as wheels
from lensctl.emr.service import ENDED, Service, region_of, service_in
from lensctl.emr.work import CommandLine, Work
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage import s3
from lensctl.io.storage.atomic import token
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.paths import files_of
from lensctl.io.temporary import temporary_folder
from lensctl.rules.errors import InputError

RELEASE = "emr-7.10.0"


def submit(
    command: CommandLine,
    *,
    staging: str,
    preset: str = "test",
    region: str | None = None,
    subnet: str | None = None,
    cluster: str | None = None,
    instance_type: str | None = None,
    nodes: int | None = None,
    max_hours: float | None = None,
    market: str = "on-demand",
    max_price: float | None = None,
    executor_memory: str | None = None,
    idle_minutes: int = 30,
    keep: bool = False,
    release: str = RELEASE,
    service_role: str = "EMR_DefaultRole",
    instance_role: str = "EMR_EC2_DefaultRole",
    wheel: str | Path | None = None,
    checkout: str | Path | None = None,
    dry_run: bool = False,
    report: Reporter = SILENT,
) -> Receipt:
    """Start a cluster that runs one command and terminates, or add a step to a running one.

    Parameters
    ----------
    command : CommandLine
        What to run there.
    staging : str
        Folder on S3 for wheel, logs and records.
    preset : str
        Machines, see `machines.choose`; `instance_type`, `nodes`, `max_hours`, `market` and `max_price` replace its.
    region, subnet, cluster : str, optional
        Where; a running cluster gets a step instead of a new cluster.
    wheel, checkout : path, optional
        The code: a wheel, or the checkout one is built from; default this one.
    dry_run : bool
        Only return the request; AWS is not contacted.

    Returns
    -------
    Receipt
        With region, wheel and record, and the cluster and step, or the request.

    Raises
    ------
    InputError
        An option that does not fit, an input that is missing, a cluster with another wheel.
    """
    overrides = {
        "kind": instance_type,
        "nodes": nodes,
        "hours": max_hours,
        "market": market,
        "max_price": max_price,
    }
    chosen = machines.choose(preset, **overrides)
    if cluster and (
        subnet or keep or executor_memory or any(overrides[name] for name in ("kind", "nodes", "max_price"))
    ):
        raise InputError(f"cluster {cluster} already has its machines", "omit the options for new ones")
    if not (subnet or cluster):
        raise InputError("no subnet is given for the nodes", "add --subnet with a subnet of the region")
    where = region_of(region)
    source = wheels.checkout(Path(checkout) if checkout else None)
    spark = machines.spark_settings(source.bootstrap.parent, chosen.kind, executor_memory)
    with temporary_folder("emr") as folder:
        staged = stages.stage(staging, source, Path(wheel) if wheel else source.wheel(folder), command.config)
        record = staged.record("placeholder" if dry_run else token())
        work = Work(staged.digest, record, chosen.hours, command.writes, command.words, staged.config)
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
        report.table("Request", ("", ""), _rows(chosen, where, work, idle=idle_minutes, keep=keep, cluster=cluster))
        receipt: Receipt = {
            "command": "emr",
            "output": command.writes[0],
            "action": "submit",
            "region": where,
            "wheel": staged.digest,
            "record": work.record,
        }
        if dry_run:
            body = {"JobFlowId": cluster, "Steps": [step]} if cluster else cluster_request
            report.say(
                "dry run: AWS was not contacted, so subnet and inputs are unchecked; the record's name is a placeholder"
            )
            api = "AddJobFlowSteps" if cluster else "RunJobFlow"
            return {**receipt, "dry_run": True, "api": api, "uploads": list(staged.content), "request": body}
        service = service_in(where)
        if cluster:
            _refuse_other_wheel(service, cluster, staged.wheel)
        else:
            service.refuse_subnet(str(subnet), 1 + chosen.nodes)
        _refuse_missing(command.reads)
        staged.upload()
    if cluster:
        return {**receipt, "cluster": cluster, "step": service.add(cluster, step)}
    started = service.launch(cluster_request)
    report.say(f"lensctl emr wait {started} --region {where}  waits for it and verifies its outputs")
    return {**receipt, "cluster": started, "step": service.steps(started)[0].id}


def _refuse_missing(reads: Sequence[str]) -> None:
    """Raise InputError for a missing input, before anything costs money."""
    for path in reads:
        if any(character in path for character in "*?["):
            files_of(path)
        elif is_s3(path) and not s3.exists(path):
            raise InputError(f"{path}: no such object", "check the bucket and the key")


def _refuse_other_wheel(service: Service, cluster: str, wheel: str) -> None:
    """Raise InputError if a cluster has terminated or has another wheel installed."""
    state, _ = service.cluster(cluster)
    if state.state in (*ENDED, "TERMINATING"):
        raise InputError(f"cluster {cluster} is {state.state}", "start a new one: omit --cluster")
    if wheel not in service.bootstrap(cluster):
        raise InputError(
            f"cluster {cluster} has a different wheel installed, not {wheel}",
            "start a new one, or check out the code it was built from",
        )


def _rows(
    chosen: machines.Machines, region: str, work: Work, *, idle: int, keep: bool, cluster: str | None
) -> list[tuple[Any, ...]]:
    """The request, for people."""
    rows: list[tuple[Any, ...]] = [("command", " ".join(work.command)), ("region", region), ("wheel", work.wheel)]
    if cluster:
        return [*rows, ("cluster", cluster)]
    price = "" if chosen.market != "spot" else f", at most {chosen.max_price or 'the on-demand price'}"
    return [
        *rows,
        ("nodes", f"1 + {chosen.nodes} {chosen.kind}, {chosen.market}{price}"),
        ("limit", f"{chosen.hours:g} h, {chosen.most_node_hours:g} node-hours"),
        ("terminates", f"{'' if keep else 'after the step, or '}after {idle} idle minutes"),
    ]
