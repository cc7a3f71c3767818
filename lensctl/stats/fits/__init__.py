"""Fits to clustered counts: splines, penalised logistic regression, draws over pixels."""
