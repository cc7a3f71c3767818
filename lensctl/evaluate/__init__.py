"""How good a model is: figures with intervals, tables, plots and a report, from its scores.

`evaluation.evaluate` computes everything as values; `folder.write` puts them where people and programs find them.
"""
