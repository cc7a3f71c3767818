"""Search: a frozen model over a survey, without a store; ranked candidates, and what was searched and lost."""

from lensctl.search.searching import search

__all__ = ["search"]
