"""Verified, resumable copying of objects between S3 and disk."""

from lensctl.sync.copying import sync
from lensctl.sync.outcome import FAILURES, Outcome

__all__ = ["FAILURES", "Outcome", "sync"]
