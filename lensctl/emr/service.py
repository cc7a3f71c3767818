"""The EMR and EC2 calls lensctl uses, with their errors as plain messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lensctl.io.storage import s3
from lensctl.io.storage.retry import POLICY
from lensctl.rules.errors import InputError, LensctlError, ServiceError

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")
DONE, FAILED = "COMPLETED", ("FAILED", "CANCELLED", "INTERRUPTED")

_FIXES = (
    (("quota", "limit", "capacity"), "ask for fewer --nodes, or another --instance-type, or raise the quota"),
    (
        ("accessdenied", "unauthorized", "not authorized"),
        "your AWS user lacks this permission: ask the account's administrator",
    ),
    (("expired", "invalidclienttoken", "unrecognizedclient", "signature"), "your AWS credentials are not valid: renew"),
    (("throttl", "rate exceeded"), "AWS throttles requests: wait a minute"),
)
_NOT_THERE = ("is not valid", "not found", "notfound", "does not exist")


@dataclass(frozen=True)
class State:
    """State of a cluster or step: EMR's term, and the reason."""

    id: str
    name: str
    state: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Plain values."""
        return dict(vars(self))


def region_of(given: str | None) -> str:
    """The region, given or configured, never guessed; what is given holds for the rest of this process."""
    if given:
        s3.set_region(given)
    found = given or s3.setting().region
    if not found:
        raise InputError("no AWS region is given", "add --region, or set AWS_REGION or `region` in your AWS profile")
    return found


def service_in(region: str) -> Service:
    """EMR in a region; InputError if there are no credentials."""
    s3.account()
    return Service(region)


class Service:
    """EMR and EC2 of one region."""

    def __init__(self, region: str) -> None:
        import boto3
        from botocore.config import Config

        config = Config(retries=POLICY.for_botocore())
        session = boto3.Session(region_name=region)
        self.region = region
        self._emr = session.client("emr", config=config)
        self._ec2 = session.client("ec2", config=config)

    def refuse_subnet(self, subnet: str, nodes: int) -> None:
        """Raise InputError for a subnet that is not in this region or has too few addresses."""
        try:
            with aws_errors("EC2"):
                (found,) = self._ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        except InputError as error:
            raise InputError(f"subnet {subnet} in {self.region}: {error}", "name a subnet of that region") from error
        if found["State"] != "available" or found["AvailableIpAddressCount"] < nodes:
            problem = f"is {found['State']} and has {found['AvailableIpAddressCount']} addresses for {nodes} nodes"
            raise InputError(f"subnet {subnet} {problem}", "name another subnet, or ask for fewer --nodes")

    def launch(self, request: dict[str, Any]) -> str:
        """Start a cluster; returns its id."""
        with aws_errors("EMR"):
            return str(self._emr.run_job_flow(**request)["JobFlowId"])

    def add(self, cluster: str, step: dict[str, Any]) -> str:
        """Add a step to a cluster; returns its id."""
        with aws_errors("EMR"):
            return str(self._emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step])["StepIds"][0])

    def cluster(self, cluster: str) -> tuple[State, str]:
        """State of a cluster, and its log folder (empty if it keeps no logs)."""
        with aws_errors("EMR"):
            found = self._emr.describe_cluster(ClusterId=cluster)["Cluster"]
        logs = (found.get("LogUri") or "").replace("s3n://", "s3://", 1).rstrip("/")
        return _state(found), f"{logs}/{cluster}" if logs else ""

    def steps(self, cluster: str) -> list[State]:
        """The steps of a cluster, oldest first."""
        with aws_errors("EMR"):
            pages = list(self._emr.get_paginator("list_steps").paginate(ClusterId=cluster))
        found = [step for page in pages for step in page["Steps"]]
        return sorted((_state(step) for step in found), key=lambda state: _created(found, state.id))

    def step(self, cluster: str, step: str) -> tuple[State, list[str]]:
        """State of a step, and its arguments."""
        with aws_errors("EMR"):
            found = self._emr.describe_step(ClusterId=cluster, StepId=step)["Step"]
        return _state(found), list(found["Config"].get("Args", []))

    def bootstrap(self, cluster: str) -> list[str]:
        """Arguments of the first bootstrap action of a cluster: what it installed."""
        with aws_errors("EMR"):
            found = self._emr.list_bootstrap_actions(ClusterId=cluster)["BootstrapActions"]
        return list(found[0].get("Args", [])) if found else []

    def terminate(self, cluster: str) -> None:
        """Terminate a cluster."""
        with aws_errors("EMR"):
            self._emr.terminate_job_flows(JobFlowIds=[cluster])

    def clusters(self, name: str, *, ended: bool) -> list[State]:
        """Clusters whose name starts with this word, newest first."""
        with aws_errors("EMR"):
            states = [*LIVE, *(ENDED if ended else ())]
            pages = list(self._emr.get_paginator("list_clusters").paginate(ClusterStates=states))
        found = [_state(each) for page in pages for each in page["Clusters"]]
        return [each for each in found if each.name.split(" ")[0] == name]


def _state(found: dict[str, Any]) -> State:
    """State and reason from an EMR description."""
    status = found["Status"]
    reason, details = status.get("StateChangeReason", {}), status.get("FailureDetails", {})
    parts = (reason.get("Code"), reason.get("Message"), details.get("Reason"), details.get("Message"))
    return State(found["Id"], found["Name"], status["State"], ": ".join(dict.fromkeys(filter(None, parts))))


def _created(found: list[dict[str, Any]], id: str) -> Any:
    return next(step["Status"]["Timeline"]["CreationDateTime"] for step in found if step["Id"] == id)


@contextmanager
def aws_errors(service: str) -> Iterator[None]:
    """Turn AWS errors into a one-line message with a fix."""
    import botocore.exceptions

    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise refusal(service, error.response["Error"]) from error
    except botocore.exceptions.BotoCoreError as error:
        raise ServiceError(f"{service} does not respond: {error}", "are you online? check the region") from error


def refusal(service: str, error: dict[str, str]) -> LensctlError:
    """The error for an AWS error response: its code and message, and a fix."""
    code, message = error.get("Code", ""), error.get("Message", "").strip()
    text = f"{code} {message}".lower()
    message_line = f"{service} says: {code}: {message[:300]}"
    for keywords, fix in _FIXES:
        if any(keyword in text for keyword in keywords):
            return ServiceError(message_line, fix)
    if any(word in text for word in _NOT_THERE):
        return InputError(message_line, "see `lensctl emr list`, and check the region")
    return ServiceError(message_line, "see the AWS message")
