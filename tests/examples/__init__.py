"""Tests of examples/notebook.ipynb."""
