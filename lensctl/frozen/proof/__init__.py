"""The proof that a frozen model is the one that was frozen."""
