"""Waiting for a step, and for the logs of one that failed; the clock is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lensctl.emr import logs
from lensctl.emr.service import DONE, ENDED, FAILED, Service, State
from lensctl.rules.errors import LensctlError

SAY_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Patience:
    """How to wait.

    Attributes
    ----------
    clock, sleep, tell : callable
        Seconds that pass, to let some pass, and to say a line to people.
    every : float
        Seconds between two looks.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Callable[[str], None]
    every: float


def ended(service: Service, cluster: str, step: str, patience: Patience, timeout_hours: float | None) -> State:
    """How a step ended, or its cluster where that ended and the step never did."""
    began = said = patience.clock()
    last = ""
    while True:
        around, state = service.cluster(cluster)[0], service.step(cluster, step)[0]
        now = patience.clock()
        line = f"{cluster} {around.state}, {step} {state.state}"
        if line != last or now - said >= SAY_EVERY_SECONDS:
            patience.tell(f"{(now - began) / 60:.1f} min: {line}{f' ({around.reason})' if around.reason else ''}")
            last, said = line, now
        if state.state == DONE or (state.state in FAILED and state.state != "CANCELLED"):
            return state
        if around.state in ENDED:
            return around
        if state.state == "CANCELLED" and around.state != "TERMINATING":  # else the cluster will say why
            return state
        if timeout_hours is not None and now - began > 3600 * timeout_hours:
            raise LensctlError(
                f"{line} after {timeout_hours:g} h", "it goes on: wait again, or `lensctl emr terminate`"
            )
        patience.sleep(patience.every)


def logs_of_failure(
    folder: str, step: str, *, bootstrap: bool, patience: Patience, minutes: float
) -> tuple[str, list[logs.Log]]:
    """Where the logs of what failed are, and those that came within some minutes."""
    place = f"{folder}/node" if bootstrap else f"{folder}/steps/{step}"
    until = patience.clock() + 60 * minutes
    while True:
        found = logs.of_bootstrap(folder) if bootstrap else logs.of_step(folder, step)
        if found or patience.clock() >= until:
            return place, found
        patience.tell(f"the logs are not at {place} yet; EMR brings them every five minutes")
        patience.sleep(patience.every)
