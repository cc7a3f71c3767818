"""From a manifest to batches of pixels."""
