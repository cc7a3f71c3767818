"""A mock survey with known lenses, laid out like the Legacy Surveys data server."""

from lensctl.sky.mock import sky

__all__ = ["sky"]
