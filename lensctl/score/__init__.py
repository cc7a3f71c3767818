"""Scores of cutouts by a trained or frozen model."""

import lensctl.score.tables
from lensctl.score.scoring import score

score_table = lensctl.score.tables.score_table
"""The function of values beneath it."""

__all__ = ["score", "score_table"]
