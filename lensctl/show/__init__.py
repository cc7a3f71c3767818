"""Recognises any file, describes it in values and tables, and draws its cutouts."""

from lensctl.show.showing import show

__all__ = ["show"]
