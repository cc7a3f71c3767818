"""The pool of negatives: selection and classification of catalogue rows."""

from lensctl.pool.making import pool

__all__ = ["pool"]
