"""How often a service is asked again, and how long one waits before: the one policy of viewer, ranges and S3."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import urllib3

RETRIED_STATUSES = (429, 500, 502, 503, 504)
"""HTTP statuses of a service that may answer the next time."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off: before the nth retry one waits `first_wait_seconds` times 2 to the n-1, or less by chance.

    Parameters
    ----------
    tries : int
        Requests for one thing at most.
    first_wait_seconds, longest_wait_seconds : float
    """

    tries: int = 6
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 30.0

    def longest_before(self, retry: int) -> float:
        """Seconds to wait before a retry, counted from 1, at most."""
        return min(self.first_wait_seconds * 2.0 ** min(retry - 1, 30), self.longest_wait_seconds)

    def for_obstore(self, timeout_seconds: float) -> Any:
        """The policy as obstore takes it; no request of a thing takes longer than all tries may."""
        first, longest = (timedelta(seconds=wait) for wait in (self.first_wait_seconds, self.longest_wait_seconds))
        return {
            "max_retries": self.tries - 1,
            "backoff": {"init_backoff": first, "max_backoff": longest, "base": 2},
            "retry_timeout": timedelta(seconds=timeout_seconds * self.tries),
        }

    def for_botocore(self) -> dict[str, Any]:
        """The policy as botocore takes it, which has waits of its own."""
        return {"mode": "standard", "total_max_attempts": self.tries}

    def for_urllib3(self) -> urllib3.Retry:
        """The policy as urllib3 takes it."""
        import urllib3

        return urllib3.Retry(
            self.tries - 1,
            backoff_factor=self.first_wait_seconds,
            backoff_max=self.longest_wait_seconds,
            status_forcelist=RETRIED_STATUSES,
            raise_on_status=False,
        )


POLICY = RetryPolicy()
