"""Provenance of outputs: steps, digests, environment."""
