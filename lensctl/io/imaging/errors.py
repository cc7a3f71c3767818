"""What a place elsewhere did not do."""

from __future__ import annotations


class Unanswered(Exception):
    """A place elsewhere did not give what was asked for; what it has may be had another time.

    Attributes
    ----------
    status : str
        http_error or timeout.
    http_status : int, optional
        What it answered.
    """

    def __init__(self, status: str, reason: str, http_status: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.http_status = status, http_status
