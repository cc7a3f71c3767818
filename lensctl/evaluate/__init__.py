"""Evaluation of a model from its scores: metrics with intervals, tables, plots and a report.

`evaluation.evaluation_of` computes everything; `report.folder.write` writes it to disk.
"""

from lensctl.evaluate.report.writing import evaluate

__all__ = ["evaluate"]
