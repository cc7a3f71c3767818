"""The pool of negatives: selection and classification of catalogue rows."""
