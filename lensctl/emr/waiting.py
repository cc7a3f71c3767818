"""Waiting for a step, and for the logs of a failed one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lensctl.emr import step_logs
from lensctl.emr.service import DONE, ENDED, FAILED, Service, State
from lensctl.io.clock import Clock
from lensctl.rules.errors import LensctlError

SAY_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Patience:
    """How to wait and report.

    Attributes
    ----------
    clock : Clock
    tell : callable
        Called with a line for people.
    every : float
        Seconds between polls.
    """

    clock: Clock
    tell: Callable[[str], None]
    every: float


def wait_for_step(service: Service, cluster: str, step: str, patience: Patience, timeout_hours: float | None) -> State:
    """Final state of a step, or of its cluster if that terminated first."""
    started = reported_at = patience.clock.now()
    last = ""
    while True:
        cluster_state, state = service.cluster(cluster)[0], service.step(cluster, step)[0]
        now = patience.clock.now()
        line = f"{cluster} {cluster_state.state}, {step} {state.state}"
        if line != last or now - reported_at >= SAY_EVERY_SECONDS:
            patience.tell(
                f"{(now - started) / 60:.1f} min: {line}{f' ({cluster_state.reason})' if cluster_state.reason else ''}"
            )
            last, reported_at = line, now
        if state.state == DONE or (state.state in FAILED and state.state != "CANCELLED"):
            return state
        if cluster_state.state in ENDED:
            return cluster_state
        if state.state == "CANCELLED" and cluster_state.state != "TERMINATING":  # else wait for the cluster's reason
            return state
        if timeout_hours is not None and now - started > 3600 * timeout_hours:
            raise LensctlError(
                f"{line} after {timeout_hours:g} h", "it is still running: wait again, or `lensctl emr terminate`"
            )
        patience.clock.sleep(patience.every)


def logs_of_failure(
    folder: str, step: str, *, bootstrap: bool, patience: Patience, minutes: float
) -> tuple[str, list[step_logs.Log]]:
    """Where the logs of a failure are, and those that arrived within some minutes."""
    place = f"{folder}/node" if bootstrap else f"{folder}/steps/{step}"
    deadline = patience.clock.now() + 60 * minutes
    while True:
        found = step_logs.of_bootstrap(folder) if bootstrap else step_logs.of_step(folder, step)
        if found or patience.clock.now() >= deadline:
            return place, found
        patience.tell(f"no logs at {place} yet; EMR uploads them every five minutes")
        patience.clock.sleep(patience.every)
