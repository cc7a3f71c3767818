"""Gates: checks that a data set or a model must pass before the next step. One module per gate; see registry.py."""

from lensctl.gates.running import gate

__all__ = ["gate"]
