"""The machines of a cluster: instance types, numbers, price, and executor memory limits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lensctl.rules.config import as_written, json_value, nearest
from lensctl.rules.errors import InputError

MOST_EXECUTOR_GB = {"m5.xlarge": 4, "m5.2xlarge": 10}
"""Largest Spark memory that YARN can start on each instance type, GB; no other types are known to work."""

MARKETS = ("on-demand", "spot")
_MEMORY = re.compile(r"(\d+)([gm])", re.IGNORECASE)
_SIZED = ("spark.executor.memory", "spark.driver.memory")


@dataclass(frozen=True)
class Machines:
    """The machines of a cluster.

    Attributes
    ----------
    kind : str
        EC2 instance type of every node.
    nodes : int
        Core nodes, in addition to the primary node.
    hours : float
        Time limit of a step; it is killed then, and the cluster terminates.
    market : str
        Purchase option of the core nodes; the primary node is always on-demand.
    max_price : float, optional
        Maximum USD per spot node-hour; EMR uses the on-demand price if not given.
    """

    kind: str
    nodes: int
    hours: float
    market: str = "on-demand"
    max_price: float | None = None

    @property
    def most_node_hours(self) -> float:
        """Maximum node-hours billed while the step runs."""
        return (1 + self.nodes) * self.hours

    def groups(self) -> list[dict[str, Any]]:
        """The instance groups of the EMR request."""
        core: dict[str, Any] = {"Market": "ON_DEMAND"}
        if self.market == "spot":
            core = {"Market": "SPOT", **({"BidPrice": f"{self.max_price:g}"} if self.max_price else {})}
        return [
            {
                "Name": "primary",
                "InstanceRole": "MASTER",
                "Market": "ON_DEMAND",
                "InstanceType": self.kind,
                "InstanceCount": 1,
            },
            {"Name": "core", "InstanceRole": "CORE", **core, "InstanceType": self.kind, "InstanceCount": self.nodes},
        ]


PRESETS = {
    "test": Machines("m5.xlarge", 2, 1),
    "medium": Machines("m5.xlarge", 8, 4),
    "large-xlarge": Machines("m5.xlarge", 24, 12),
    "full": Machines("m5.2xlarge", 30, 24),
}


def choose(preset: str, **overrides: Any) -> Machines:
    """The machines of a preset, with overrides; InputError if they are invalid together."""
    if preset not in PRESETS:
        raise InputError(f"no preset '{preset}'{nearest(preset, PRESETS)}", f"use {', '.join(PRESETS)}")
    chosen = replace(PRESETS[preset], **{name: value for name, value in overrides.items() if value is not None})
    if chosen.kind not in MOST_EXECUTOR_GB:
        raise InputError(
            f"no Spark settings for {chosen.kind}{nearest(chosen.kind, MOST_EXECUTOR_GB)}",
            f"use {' or '.join(MOST_EXECUTOR_GB)}",
        )
    if chosen.market not in MARKETS:
        raise InputError(f"no market '{chosen.market}'", f"use {' or '.join(MARKETS)}")
    if chosen.max_price is not None and chosen.market != "spot":
        raise InputError("--max-price does not apply to on-demand nodes", "add --market spot, or omit it")
    return chosen


def spark_settings(folder: Path, kind: str, executor_memory: str | None = None) -> list[dict[str, Any]]:
    """Spark settings for an instance type, from its file in a folder; InputError above its memory limit."""
    file = folder / f"spark-defaults-{kind}.json"
    try:
        settings: list[dict[str, Any]] = json_value(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{file.name}: no Spark settings ({error})", "take them from a checkout of lensctl") from error
    with as_written(file.name, "take it from a checkout of lensctl"):
        _set_memory(settings, kind, executor_memory)
    return settings


def _set_memory(settings: list[dict[str, Any]], kind: str, executor_memory: str | None) -> None:
    for part in settings:
        if part["Classification"] == "spark-defaults":
            if executor_memory:
                part["Properties"]["spark.executor.memory"] = executor_memory.lower()
            for name in _SIZED:
                _refuse_too_much(name, part["Properties"].get(name, "1g"), kind)


def _refuse_too_much(name: str, memory: str, kind: str) -> None:
    found = _MEMORY.fullmatch(memory)
    if not found:
        raise InputError(f"{name}={memory} is not an amount of memory", "write it as 4g or 3500m")
    megabytes = int(found[1]) * (1024 if found[2].lower() == "g" else 1)
    most = MOST_EXECUTOR_GB[kind]
    if not 0 < megabytes <= 1024 * most:
        raise InputError(
            f"{name}={memory} is more than YARN starts on {kind} ({most}g)" if megabytes else f"{name} is zero",
            f"use {most}g or less" + (", or --instance-type m5.2xlarge" if kind == "m5.xlarge" else ""),
        )
