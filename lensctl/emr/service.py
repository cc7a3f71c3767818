"""EMR and EC2 as far as lensctl asks them, and what their refusals are called for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lensctl.io.storage.retry import POLICY
from lensctl.rules.errors import InputError, LensctlError, ServiceError

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")
DONE, FAILED = "COMPLETED", ("FAILED", "CANCELLED", "INTERRUPTED")

_FIXES = (
    (("quota", "limit", "capacity"), "ask for fewer --nodes, or another --instance-type, or raise the quota"),
    (("accessdenied", "unauthorized", "not authorized"), "your AWS user lacks this right: ask who runs the account"),
    (("expired", "invalidclienttoken", "unrecognizedclient", "signature"), "your AWS credentials are not valid: renew"),
    (("throttl", "rate exceeded"), "AWS is asked too often: wait a minute"),
)
_NOT_THERE = ("is not valid", "not found", "notfound", "does not exist")


@dataclass(frozen=True)
class State:
    """How a cluster or a step is: EMR's word, and why."""

    id: str
    name: str
    state: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Plain values."""
        return dict(vars(self))


class Service:
    """EMR and EC2 of one region."""

    def __init__(self, region: str) -> None:
        import boto3
        from botocore.config import Config

        how = Config(retries=POLICY.for_botocore())
        session = boto3.Session(region_name=region)
        self.region = region
        self._emr = session.client("emr", config=how)
        self._ec2 = session.client("ec2", config=how)

    def refuse_subnet(self, subnet: str, nodes: int) -> None:
        """Raise InputError for a subnet that is not in this region, or has no room."""
        try:
            with plainly("EC2"):
                (found,) = self._ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        except InputError as error:
            raise InputError(f"subnet {subnet} in {self.region}: {error}", "name a subnet of that region") from error
        if found["State"] != "available" or found["AvailableIpAddressCount"] < nodes:
            room = f"is {found['State']} and has {found['AvailableIpAddressCount']} addresses for {nodes} nodes"
            raise InputError(f"subnet {subnet} {room}", "name another subnet, or ask for fewer --nodes")

    def launch(self, request: dict[str, Any]) -> str:
        """Start a cluster; gives its id."""
        with plainly("EMR"):
            return str(self._emr.run_job_flow(**request)["JobFlowId"])

    def add(self, cluster: str, step: dict[str, Any]) -> str:
        """Add a step to a cluster; gives its id."""
        with plainly("EMR"):
            return str(self._emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step])["StepIds"][0])

    def cluster(self, cluster: str) -> tuple[State, str]:
        """How a cluster is, and the folder of its logs (empty where it keeps none)."""
        with plainly("EMR"):
            found = self._emr.describe_cluster(ClusterId=cluster)["Cluster"]
        logs = (found.get("LogUri") or "").replace("s3n://", "s3://", 1).rstrip("/")
        return _state(found), f"{logs}/{cluster}" if logs else ""

    def steps(self, cluster: str) -> list[State]:
        """The steps of a cluster, the first one first."""
        with plainly("EMR"):
            pages = list(self._emr.get_paginator("list_steps").paginate(ClusterId=cluster))
        found = [step for page in pages for step in page["Steps"]]
        return sorted((_state(step) for step in found), key=lambda state: _begun(found, state.id))

    def step(self, cluster: str, step: str) -> tuple[State, list[str]]:
        """How a step is, and its arguments."""
        with plainly("EMR"):
            found = self._emr.describe_step(ClusterId=cluster, StepId=step)["Step"]
        return _state(found), list(found["Config"].get("Args", []))

    def bootstrap(self, cluster: str) -> list[str]:
        """Arguments of the first bootstrap action of a cluster: what it installed."""
        with plainly("EMR"):
            found = self._emr.list_bootstrap_actions(ClusterId=cluster)["BootstrapActions"]
        return list(found[0].get("Args", [])) if found else []

    def terminate(self, cluster: str) -> None:
        """End a cluster."""
        with plainly("EMR"):
            self._emr.terminate_job_flows(JobFlowIds=[cluster])

    def clusters(self, name: str, *, ended: bool) -> list[State]:
        """Clusters whose name begins so, the newest first."""
        with plainly("EMR"):
            states = [*LIVE, *(ENDED if ended else ())]
            pages = list(self._emr.get_paginator("list_clusters").paginate(ClusterStates=states))
        found = [_state(each) for page in pages for each in page["Clusters"]]
        return [each for each in found if each.name.split(" ")[0] == name]


def _state(found: dict[str, Any]) -> State:
    """State and reason of what EMR described."""
    status = found["Status"]
    why, details = status.get("StateChangeReason", {}), status.get("FailureDetails", {})
    told = (why.get("Code"), why.get("Message"), details.get("Reason"), details.get("Message"))
    return State(found["Id"], found["Name"], status["State"], ": ".join(dict.fromkeys(filter(None, told))))


def _begun(found: list[dict[str, Any]], id: str) -> Any:
    return next(step["Status"]["Timeline"]["CreationDateTime"] for step in found if step["Id"] == id)


@contextmanager
def plainly(service: str) -> Iterator[None]:
    """Turn a refusal of AWS into one sentence, with what to do."""
    import botocore.exceptions

    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise refusal(service, error.response["Error"]) from error
    except botocore.exceptions.BotoCoreError as error:
        raise ServiceError(f"{service} does not answer: {error}", "are you online? check the region") from error


def refusal(service: str, error: dict[str, str]) -> LensctlError:
    """What a refusal is called: its code and message, and what helps."""
    code, message = error.get("Code", ""), error.get("Message", "").strip()
    text = f"{code} {message}".lower()
    said = f"{service} says: {code}: {message[:300]}"
    for words, fix in _FIXES:
        if any(word in text for word in words):
            return ServiceError(said, fix)
    if any(word in text for word in _NOT_THERE):
        return InputError(said, "see `lensctl emr list`, and check the region")
    return ServiceError(said, "see the message of AWS")
