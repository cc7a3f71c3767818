"""lensctl: from a survey on disk to a verified, frozen strong-lens finder."""

__version__ = "0.2.0"
