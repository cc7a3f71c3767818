"""What can be done with a cluster: its state, waiting for a step, its logs, ending it, listing all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from lensctl.emr import proof, step_logs, work
from lensctl.emr.request import NAME
from lensctl.emr.service import DONE, Service, State, region_of, service_in
from lensctl.emr.step_logs import Log
from lensctl.emr.waiting import Patience, logs_of_failure, wait_for_step
from lensctl.io.clock import CLOCK
from lensctl.io.reporter import SILENT, Receipt, Reporter
from lensctl.io.storage import s3
from lensctl.rules.errors import InputError, LensctlError

LAST_LINES, MOST_BAD_LINES = 20, 20
COLUMNS = ("id", "name", "state", "reason")


def status(cluster: str, *, region: str | None = None, report: Reporter = SILENT) -> Receipt:
    """The state of a cluster and its steps."""
    service = service_in(region_of(region))
    state, folder = service.cluster(cluster)
    steps = service.steps(cluster)
    report.table(f"In {service.region}", COLUMNS, _rows([state, *steps]))
    facts = {"state": state.state, "reason": state.reason, "logs": folder, "steps": [each.as_dict() for each in steps]}
    return _receipt("status", folder, region=service.region, cluster=cluster, **facts)


def wait(
    cluster: str,
    step: str | None = None,
    *,
    region: str | None = None,
    every: float = 30.0,
    timeout_hours: float | None = None,
    log_minutes: float = 6.0,
    report: Reporter = SILENT,
) -> Receipt:
    """Wait for a step and verify its outputs.

    Parameters
    ----------
    step : str, optional
        Default the last of the cluster.
    every : float
        Seconds between polls.
    timeout_hours : float, optional
        Give up after so long; the cluster keeps running.
    log_minutes : float
        After a failure, how long to wait for the logs.

    Raises
    ------
    LensctlError
        The step did not complete, or an output is missing, unreadable or not of this step and wheel.
    """
    service = service_in(region_of(region))
    folder, patience = service.cluster(cluster)[1], Patience(CLOCK, report.say, every)
    step = step or _last_step(service, cluster)
    submitted = work.from_arguments(service.step(cluster, step)[1])
    state = wait_for_step(service, cluster, step, patience, timeout_hours)
    if state.state != DONE:
        _fail(state, cluster, step, folder, patience, log_minutes, report)
    found = step_logs.of_step(folder, step) if folder else []
    _show_bad(found, report)
    rows = proof.prove(submitted, s3.list_objects(submitted.record.rpartition("/")[0]))
    report.table("Verified", ("output", "rows"), rows.items())
    facts = {
        "state": state.state,
        "wheel": submitted.wheel,
        "rows": rows,
        "error_lines": sum(len(log.bad) for log in found),
    }
    return _receipt("wait", submitted.outputs[0], cluster=cluster, step=step, **facts)


def logs(
    cluster: str,
    step: str | None = None,
    *,
    region: str | None = None,
    lines: int = LAST_LINES,
    report: Reporter = SILENT,
) -> Receipt:
    """The last lines of the logs of a step, or of a failed bootstrap; InputError if there are none yet."""
    service = service_in(region_of(region))
    folder = service.cluster(cluster)[1]
    if not folder:
        raise InputError(f"cluster {cluster} keeps no logs", "start clusters with `lensctl emr submit`")
    step = step or _last_step(service, cluster)
    found = [*step_logs.of_bootstrap(folder), *step_logs.of_step(folder, step)]
    if not found:
        raise InputError(f"{folder}: there are no logs yet", "EMR uploads them every five minutes: try again")
    _show_last(found, lines, report)
    places = {log.url: len(log.bad) for log in found}
    return _receipt("logs", folder, cluster=cluster, step=step, error_lines=places)


def terminate(cluster: str, *, region: str | None = None, report: Reporter = SILENT) -> Receipt:
    """Terminate a cluster immediately, whatever it is doing."""
    service = service_in(region_of(region))
    before, folder = service.cluster(cluster)
    service.terminate(cluster)
    report.say(f"{cluster} ({before.name}) was {before.state}; terminating")
    return _receipt("terminate", folder, region=service.region, cluster=cluster, was=before.state)


def clusters(*, region: str | None = None, ended: bool = False, report: Reporter = SILENT) -> Receipt:
    """The clusters that `submit` started, with those that have ended if `ended`."""
    service = service_in(region_of(region))
    found = service.clusters(NAME, ended=ended)
    report.table(f"In {service.region}", COLUMNS, _rows(found))
    return _receipt("list", "", region=service.region, clusters=[each.as_dict() for each in found])


def _receipt(action: str, output: str, **facts: object) -> Receipt:
    return {"command": "emr", "output": output, "action": action, **facts}


def _rows(states: Sequence[State]) -> list[tuple[str, ...]]:
    return [(each.id, each.name, each.state, each.reason) for each in states]


def _last_step(service: Service, cluster: str) -> str:
    steps = service.steps(cluster)
    if not steps:
        raise InputError(f"cluster {cluster} has no step", "add one: `lensctl emr submit --cluster`")
    return steps[-1].id


def _fail(
    state: State, cluster: str, step: str, folder: str, patience: Patience, log_minutes: float, report: Reporter
) -> NoReturn:
    """Show the logs of a failed step or cluster, and raise the reason."""
    of_cluster = state.id == cluster
    place = "the cluster keeps none"
    if folder:
        bootstrap = of_cluster and "bootstrap" in state.reason.lower()
        place, found = logs_of_failure(folder, step, bootstrap=bootstrap, patience=patience, minutes=log_minutes)
        _show_last(found, LAST_LINES, report)
        _show_bad(found, report)
    what = f"cluster {cluster}" if of_cluster else f"step {step} of cluster {cluster}"
    why = state.reason or "EMR does not say why"
    raise LensctlError(f"{what} is {state.state}: {why}", f"see its logs ({place}), fix the cause, and submit it again")


def _show_last(found: Sequence[Log], lines: int, report: Reporter) -> None:
    for log in found:
        if log.lines:
            report.say("\n".join((f"--- {log.url}", *log.lines[-lines:])))


def _show_bad(found: Sequence[Log], report: Reporter) -> None:
    """Show error lines; a COMPLETED step may have some."""
    for log in found:
        for line in log.bad[:MOST_BAD_LINES]:
            report.say(f"{log.url.rsplit('/', 1)[-1]}: {line}")
        if len(log.bad) > MOST_BAD_LINES:
            report.say(f"{log.url}: {len(log.bad) - MOST_BAD_LINES:,} more error lines")
