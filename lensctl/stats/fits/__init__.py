"""Fits to rows that are alike within pixels: splines, penalised and plain logistic regression, draws, means."""
