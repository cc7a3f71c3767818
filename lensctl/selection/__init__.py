"""The selection function of a frozen model: what is seen of arcs, real and injected, and which the model finds."""

from lensctl.selection.observing import observe

__all__ = ["observe"]
