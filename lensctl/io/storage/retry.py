"""The retry policy of the viewer, HTTP ranges and S3: number of tries and waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff: the wait before the nth retry is `first_wait_seconds` x 2^(n-1), or a random share of it.

    Parameters
    ----------
    tries : int
        Maximum requests for one object.
    first_wait_seconds, longest_wait_seconds : float
    """

    tries: int = 6
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 30.0

    def longest_before(self, retry: int) -> float:
        """Maximum wait in seconds before a retry, counted from 1."""
        return min(self.first_wait_seconds * 2.0 ** min(retry - 1, 30), self.longest_wait_seconds)

    def for_obstore(self, timeout_seconds: float) -> Any:
        """The policy for obstore, with a total time limit of `tries` timeouts."""
        first, longest = (timedelta(seconds=wait) for wait in (self.first_wait_seconds, self.longest_wait_seconds))
        return {
            "max_retries": self.tries - 1,
            "backoff": {"init_backoff": first, "max_backoff": longest, "base": 2},
            "retry_timeout": timedelta(seconds=timeout_seconds * self.tries),
        }

    def for_botocore(self) -> dict[str, Any]:
        """The policy for botocore, which has its own waits."""
        return {"mode": "standard", "total_max_attempts": self.tries}


POLICY = RetryPolicy()
