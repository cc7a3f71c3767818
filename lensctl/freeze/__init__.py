"""Freezing: a run, its evaluation and its gate results in one verifiable folder."""

from lensctl.freeze.folder import freeze

__all__ = ["freeze"]
