"""Scores of cutouts by a trained or frozen model."""

from lensctl.score.scoring import score

__all__ = ["score"]
