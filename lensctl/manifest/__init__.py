"""The training manifest: every cutout with its label, weight, split and catalogue values."""

from lensctl.manifest.making import manifest

__all__ = ["manifest"]
