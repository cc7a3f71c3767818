"""Positives: lens candidates matched to the catalogue objects on which their cutouts are centred."""

from lensctl.crossmatch.writing import crossmatch

__all__ = ["crossmatch"]
