"""The pool of negatives: which catalogue rows may serve as negatives, and of what kind each is."""
