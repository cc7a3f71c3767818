"""Copies objects from one place to another, S3 or disk, verified, and goes on where it was cut short."""

from lensctl.sync.outcome import FAILURES, Outcome
from lensctl.sync.run import sync

__all__ = ["FAILURES", "Outcome", "sync"]
