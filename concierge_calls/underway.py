"""What is awaited of each call that is not settled, and until when at the latest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from concierge_calls.backend import Backend, Placed
from concierge_calls.journal import Attempt

LONGEST_DOUBT = 15 * 60.0  # seconds in which nobody answers whether a call was placed, before a resume is to ask


class Awaited(StrEnum):
    """What is awaited of a call."""

    END = "end"  # it is on the line: it may be ringing or talking now
    ANALYSIS = "analysis"  # it has ended
    WORD = "word"  # any at all: the backend does not know it, or has not said whether it does


class Underway:
    """The calls of a run that are not settled, what is awaited of each, and until when at the latest."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._calls: dict[int, tuple[Awaited, datetime, str | None]] = {}  # by attempt; until when, and the call's id

    def __repr__(self) -> str:
        return f"<Underway {', '.join(f'{self.count(each)} {each}' for each in Awaited)}>"

    def put(self, attempt: Attempt, awaited: Awaited, placed: Placed | None = None) -> None:
        """From now on this is awaited of the attempt's call, which is not known to be placed while it is in doubt."""
        until = self._until(attempt, awaited, placed)
        self._calls[attempt.id] = awaited, until, attempt.call_id if placed is None else placed.call_id

    def remove(self, attempt: Attempt) -> None:
        """Nothing more is awaited of it; a second time does nothing."""
        self._calls.pop(attempt.id, None)

    def count(self, awaited: Awaited) -> int:
        """Of how many calls this is awaited."""
        return sum(each is awaited for each, _, _ in self._calls.values())

    def latest(self, awaited: Awaited) -> datetime | None:
        """Until when at the latest this is awaited of any call, if the backend can be asked, by this machine's clock.

        None where it is awaited of none. Of a call on the line it is when that is settled.
        """
        latest = max((until for each, until, _ in self._calls.values() if each is awaited), default=None)
        return None if latest is None else datetime.now(UTC) + (latest - self._backend.now())

    def unended(self) -> list[str]:
        """The ids of those that have one already and are not known to have ended."""
        return [name for each, _, name in self._calls.values() if name is not None and each is not Awaited.ANALYSIS]

    def _until(self, attempt: Attempt, awaited: Awaited, placed: Placed | None) -> datetime:
        if awaited is Awaited.ANALYSIS:
            ended_at = attempt.known.ended_at if attempt.known else None  # under an earlier process, if that is known
            return max(self._backend.now(), self._backend.latest_analysis(ended_at or self._backend.now()))
        if awaited is Awaited.WORD and placed is None:
            return self._backend.now() + timedelta(seconds=LONGEST_DOUBT)
        created_at = attempt.created_at or attempt.dialed_at if placed is None else placed.created_at
        return self._backend.latest_end(created_at, known=awaited is Awaited.END)
