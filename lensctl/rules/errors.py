"""Errors that a person can act on: what is wrong, where, what to do."""

from __future__ import annotations


class LensctlError(Exception):
    """Something could not be done, and it is not a bug: exit status 2.

    Parameters
    ----------
    message : str
        One sentence: what is wrong and where (file, row, column).
    fix : str
        What to do about it; may be empty.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class InputError(LensctlError):
    """An input, option or setting is wrong."""


class ServiceError(LensctlError):
    """A service (S3, HTTP) did not do its part."""


class ReaderGone(Exception):
    """The process that read our stdout went away: exit status 141. Deliberately not an OSError."""


def first_line(error: object, most: int = 200) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:most]
