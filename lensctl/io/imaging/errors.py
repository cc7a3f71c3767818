"""Errors of remote sources."""

from __future__ import annotations

from lensctl.rules.errors import ServiceError


class NothingAnswered(ServiceError):
    """A service answered no request at all: there is nothing of it to keep."""


class Unanswered(Exception):
    """A remote source did not deliver what was requested; a transient failure.

    Attributes
    ----------
    status : str
        http_error or timeout.
    http_status : int, optional
        HTTP status of the response, if any.
    """

    def __init__(self, status: str, reason: str, http_status: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.http_status = status, http_status
