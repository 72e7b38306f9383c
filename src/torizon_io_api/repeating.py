"""When a call is sent again, and how long to wait before.

A server that says when to come back is obeyed (`Retry-After`; else `X-RateLimit-Reset`, in seconds); one that
does not is asked again after 0.5, 1, 2, 4 ... seconds. All waits of one call together are bounded: a server
that wants more time than that is not waited for, and its answer goes to the caller, who may know better.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

BUSY = frozenset({420, 429, 503})
"""Answers that mean "not now": the server has done nothing. 420 is the documented API's rate limit."""

LONGEST_WAIT = 120.0
FIRST_PAUSE = 0.5


class Patience:
    """The repetitions and the waiting time that one call has left."""

    def __init__(
        self,
        repetitions: int,
        seconds: float = LONGEST_WAIT,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._left = repetitions
        self._seconds = seconds
        self._pause = FIRST_PAUSE
        self._sleep = sleep or time.sleep

    def wait(self, headers: Mapping[str, str] | None) -> bool:
        """Waits as the answer asks (None: no answer came); False, at once, when the patience is used up."""
        asked = None if headers is None else _asked(headers)
        pause = self._pause if asked is None else asked
        if self._left <= 0 or pause > self._seconds:
            return False
        self._left -= 1
        self._seconds -= pause
        self._pause *= 2
        self._sleep(pause)
        return True


def _asked(headers: Mapping[str, str]) -> float | None:
    """Seconds from now, from a number or, in Retry-After, an HTTP date."""
    after = headers.get("Retry-After")
    if after is None:
        after = headers.get("X-RateLimit-Reset")
    if after is None:
        return None
    try:
        return max(0.0, float(int(after)))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
