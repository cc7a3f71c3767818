"""The training manifest: every cutout with its label, weight, split and catalogue values."""

from lensctl.manifest.joining import Manifest, columns_of, join
from lensctl.manifest.making import manifest

__all__ = ["Manifest", "columns_of", "join", "manifest"]
