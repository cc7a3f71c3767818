"""Running commands on an EMR cluster: requests, step records, and verification of outputs."""

from lensctl.emr.actions import clusters, logs, status, terminate, wait
from lensctl.emr.submitting import submit

__all__ = ["clusters", "logs", "status", "submit", "terminate", "wait"]
