"""What any file is: recognised, described in figures and tables, and drawn."""

from lensctl.show.facts import Facts
from lensctl.show.look import look

__all__ = ["Facts", "look"]
