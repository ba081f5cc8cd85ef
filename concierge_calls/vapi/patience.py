"""How long a question to Vapi is asked again, and how long is waited in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tenacity import RetryCallState

from concierge_calls.errors import ReadFailed

LONGEST_TRY: Final = 90.0  # seconds; a reply that comes byte by byte must not hold a line for ever
_SLACK: Final = 1.0  # the clock goes on between `wait` and `stop`
_SHORTEST_TRY: Final = 5.0
_SHORTEST_BACKOFF: Final = 0.1
_FIRST_BACKOFF: Final = 0.5
_LONGEST_BACKOFF: Final = 30.0


class AskAgain(ReadFailed):
    """A question was not answered, and asking again may help."""

    def __init__(self, what: str, why: str, retry_after: float | None = None) -> None:
        super().__init__(f"Vapi could not be asked for {what} just now ({why}); it is asked again.")
        self.retry_after = retry_after


class TooManyRequests(AskAgain):
    """A question was answered with HTTP 429: Vapi is there, and takes requests again when the minute is over."""


class Patience:
    """Exponential backoff with full jitter, at most 30 seconds, unless Vapi says when to come back.

    Patience ends after `seconds` of `monotonic`, or at once when Vapi asks for a longer wait than is left. `wait` and
    `stop` are what tenacity asks for.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._seconds = seconds
        self._began = monotonic()
        self._monotonic = monotonic
        self._jitter = jitter

    def left(self) -> float:
        """Return the seconds that are left, never less than none."""
        return max(0.0, self._began + self._seconds - self._monotonic())

    def one_try(self) -> float:
        """Return the seconds that one request may take; a last one is given a fair chance."""
        return min(LONGEST_TRY, max(self.left(), _SHORTEST_TRY))

    def wait(self, state: RetryCallState) -> float:
        """Return the seconds until the next request."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, AskAgain) and error.retry_after is not None:
            return error.retry_after
        longest = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(state.attempt_number, 10))
        return min(max(self._jitter() * longest, _SHORTEST_BACKOFF), self.left())

    def stop(self, state: RetryCallState) -> bool:
        """Say whether this was the last request; tenacity has asked `wait` before."""
        left = self.left()
        return not left or state.idle_for >= self._seconds or state.upcoming_sleep > left + _SLACK
