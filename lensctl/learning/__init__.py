"""Data loading, networks and training; the only package that imports torch, with the commands built on it."""
