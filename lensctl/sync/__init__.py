"""Copies objects from one place to another, S3 or disk, verified, and goes on where it was cut short."""

from lensctl.sync.run import FAILURES, Outcome, sync

__all__ = ["FAILURES", "Outcome", "sync"]
