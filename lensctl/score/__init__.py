"""Scores of cutouts by a trained or frozen model."""

from lensctl.score.scoring import score
from lensctl.score.tables import score_table

__all__ = ["score", "score_table"]
