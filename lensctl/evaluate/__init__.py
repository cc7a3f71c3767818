"""Evaluation of a model from its scores: metrics with intervals, tables, plots and a report.

`evaluation.evaluate` computes everything; `report.folder.write` writes it to disk.
"""
