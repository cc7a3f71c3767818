"""The selection function of a frozen model: which lenses it finds, and averages over the lenses there are."""

from lensctl.selection.measuring import measure
from lensctl.selection.observing import observe

__all__ = ["measure", "observe"]
