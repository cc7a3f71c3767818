"""The selection function of a frozen model: which lenses it finds, and averages over the lenses there are."""

from lensctl.selection.applying import apply
from lensctl.selection.attaching import attach
from lensctl.selection.fitting.fitting import fit
from lensctl.selection.measuring import measure
from lensctl.selection.observing import observe
from lensctl.selection.populating import population

__all__ = ["apply", "attach", "fit", "measure", "observe", "population"]
