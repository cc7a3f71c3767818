"""Stratified negatives, drawn reproducibly from a pool."""

from lensctl.sample.drawing import sample

__all__ = ["sample"]
