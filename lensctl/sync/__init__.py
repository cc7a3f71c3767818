"""Verified, resumable copying of objects between S3 and disk."""

from lensctl.sync.outcome import FAILURES, Outcome
from lensctl.sync.run import sync

__all__ = ["FAILURES", "Outcome", "sync"]
