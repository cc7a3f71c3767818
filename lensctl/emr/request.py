"""EMR requests: a cluster, and a step on it."""

from __future__ import annotations

from typing import Any

from lensctl.emr.machines import Machines
from lensctl.emr.staging import Staged
from lensctl.emr.work import Work

NAME = "lensctl"


def step(work: Work, staged: Staged, region: str, *, alone: bool) -> dict[str, Any]:
    """A step that does some work; if it is `alone`, the cluster terminates when it fails.

    The region is never guessed: `env` passes it to the driver, and Spark to the executors.
    """
    submit = ["spark-submit", "--deploy-mode", "client", "--conf", f"spark.executorEnv.AWS_REGION={region}"]
    return {
        "Name": f"{NAME} {work.command[0]}",
        "ActionOnFailure": "TERMINATE_CLUSTER" if alone else "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": ["env", f"AWS_REGION={region}", *submit, staged.launcher, *work.arguments()],
        },
    }


def cluster(
    machines: Machines,
    staged: Staged,
    settings: list[dict[str, Any]],
    steps: list[dict[str, Any]],
    *,
    subnet: str | None,
    release: str,
    roles: tuple[str, str],
    idle_minutes: int,
    keep: bool,
) -> dict[str, Any]:
    """A cluster that installs the wheel and runs some steps.

    It terminates after the last step, with `keep` after `idle_minutes`; it never idles longer.
    """
    return {
        "Name": " ".join([NAME, *(step["Name"].removeprefix(f"{NAME} ") for step in steps)]),
        "ReleaseLabel": release,
        "Applications": [{"Name": "Spark"}],
        "LogUri": staged.logs,
        "Instances": {
            "InstanceGroups": machines.groups(),
            **({"Ec2SubnetId": subnet} if subnet else {}),
            "KeepJobFlowAliveWhenNoSteps": keep,
            "TerminationProtected": False,
        },
        "BootstrapActions": [
            {
                "Name": "install lensctl",
                "ScriptBootstrapAction": {"Path": staged.bootstrap, "Args": [staged.wheel, staged.constraints]},
            }
        ],
        "Configurations": settings,
        "Steps": steps,
        "ServiceRole": roles[0],
        "JobFlowRole": roles[1],
        "AutoTerminationPolicy": {"IdleTimeout": 60 * idle_minutes},
        "Tags": [{"Key": NAME, "Value": staged.digest.removeprefix("sha256:")}],
        "VisibleToAllUsers": True,
    }
