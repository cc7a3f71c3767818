"""Negatives, drawn reproducibly from a pool: stratified, or uniform."""

from lensctl.sample.drawing import sample

__all__ = ["sample"]
