"""Network architectures, checkpoints and inference."""
