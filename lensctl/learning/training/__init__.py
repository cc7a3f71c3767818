"""Training loop: steps, early stopping, checkpoints, several processes."""
