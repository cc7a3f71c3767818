"""Galaxies that could be lenses, into which sources are injected."""

from lensctl.hosts.making import hosts

__all__ = ["hosts"]
