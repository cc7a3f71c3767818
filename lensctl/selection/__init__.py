"""The selection function of a frozen model: which lenses it finds, and averages over the lenses there are."""
