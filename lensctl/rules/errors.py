"""Errors that users can act on: what is wrong, where, and how to fix it."""

from __future__ import annotations


class LensctlError(Exception):
    """An error that is not a bug: exit status 2.

    Parameters
    ----------
    message : str
        One sentence: what is wrong and where (file, row, column).
    fix : str
        How to fix it; may be empty.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class InputError(LensctlError):
    """An input, option or setting is wrong."""


class Unfinished(InputError):
    """Something else must be done first; what has been done is of use."""


class ServiceError(LensctlError):
    """A service (S3, HTTP) failed."""


class ReaderGone(Exception):
    """The reader of our stdout exited early: exit status 141. Deliberately not an OSError."""


def first_line(error: object, most: int = 200) -> str:
    """First line of an error message, or the name of its class if the message is empty."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:most]
