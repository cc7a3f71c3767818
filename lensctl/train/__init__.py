"""Training: from a manifest and its cutouts to weights."""

from lensctl.train.running import train

__all__ = ["train"]
