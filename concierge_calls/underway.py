"""What is awaited of each call that is not settled, until when at the latest, and the search for one in doubt."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from concierge_calls.backend import Backend, Placed
from concierge_calls.journal import Attempt
from concierge_calls.models import CallState

# Seconds in which nobody answers whether a call was placed, counted from when its line is given back.
LONGEST_SEARCH = 13 * 60.0
LONGEST_LOOK = 90.0  # the same for a look at all that is in doubt; one is taken at the end of the run
LONGEST_DOUBT = LONGEST_SEARCH + LONGEST_LOOK  # then a resume is to ask

Found = Mapping[str, Placed] | None  # by key; None when the look was not answered


class Awaited(StrEnum):
    """What is awaited of a call."""

    END = "end"  # it is on the line: it may be ringing or talking now
    ANALYSIS = "analysis"  # it has ended
    WORD = "word"  # any at all: the backend does not know it, or has not said whether it does


@dataclass(frozen=True, slots=True)
class Look:
    """One look for all the calls that are in doubt."""

    at: float  # when it began, in the loop's time
    found: Found = field(repr=False)

    @classmethod
    async def taken(cls, looking: Awaitable[Found]) -> Look:
        """Take it now; one that takes longer than LONGEST_LOOK was not answered."""
        at, found = _now(), None
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_LOOK):
                found = await looking
        return cls(at, found)


class Search:
    """Looks for one call in doubt until it is found; what was `found` last is kept."""

    def __init__(
        self,
        look: Callable[[], Awaitable[Found]],
        sleep: Callable[[float], Awaitable[object]],
        *,
        lost_for: float = 0.0,
        after: Look | None = None,
    ) -> None:
        """Search for what was lost so many seconds ago, and since then was not in that look, should one be given."""
        self._look = look
        self._sleep = sleep
        self._lost_at = _now() - max(0.0, lost_for)
        self._looked_at = -math.inf if after is None else after.at
        self.found: Found = None if after is None or after.found is None else {}

    def __repr__(self) -> str:
        return f"<Search for what was lost at {self._lost_at:.0f}: {'no answer' if self.found is None else self.found}>"

    async def look_at(self, moments: Sequence[float], in_vain: Callable[[float], object]) -> None:
        """Look so many seconds after it was lost, but for those that are over; `in_vain` is told each that was."""
        for moment in moments:
            if self._lost_at + moment > self._looked_at and not self.found:
                await self._sleep(max(0.0, self._lost_at + moment - _now()))
                self.found = await self._look()
                if not self.found:
                    in_vain(moment)

    async def look_every(self, seconds: float, gives_up: Callable[[], bool]) -> None:
        """Look until that is answered, for LONGEST_SEARCH seconds at most, which end a look that is under way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_SEARCH):
                while self.found is None and not gives_up():
                    await self._sleep(seconds)
                    self.found = await self._look()


class Outlook(Protocol):
    """What is still awaited of a run's calls, and until when at the latest."""

    def count(self, awaited: Awaited) -> int:
        """Of how many calls this is awaited."""

    def latest(self, awaited: Awaited) -> datetime | None:
        """Until when at the latest this is awaited of any call, by this machine's clock, as far as that is known."""


class Underway:
    """The calls of a run that are not settled, what is awaited of each, and until when at the latest."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._calls: dict[int, tuple[Awaited, datetime, str | None]] = {}  # by attempt; until when, and the call's id

    def __repr__(self) -> str:
        return f"<Underway {', '.join(f'{self.count(each)} {each}' for each in Awaited)}>"

    def put(
        self, attempt: Attempt, awaited: Awaited, placed: Placed | None = None, *, doubt: float = LONGEST_DOUBT
    ) -> None:
        """From now on this is awaited of the attempt's call, which is not known to be placed while it is in doubt.

        One in doubt is asked for `doubt` seconds at most.
        """
        until = self._until(attempt, awaited, placed, doubt)
        self._calls[attempt.id] = awaited, until, attempt.call_id if placed is None else placed.call_id

    def take_up(self, attempt: Attempt, *, searched: bool) -> bool:
        """Await what is left to await of a call; returns whether a line is to be held for it meanwhile.

        None is for one that has ended, and for one in doubt that was `searched` for here already or whose time is over.
        """
        in_doubt = attempt.state in (CallState.DIALING, CallState.UNCERTAIN)
        is_over = searched or self._backend.now() >= self._backend.latest_end(attempt.dialed_at)
        if in_doubt and is_over:
            one_look = searched or attempt.state is CallState.UNCERTAIN
            self.put(attempt, Awaited.WORD, doubt=LONGEST_LOOK + (0.0 if one_look else LONGEST_DOUBT))
            return False
        self.put(attempt, Awaited.ANALYSIS if attempt.state is CallState.ENDED else Awaited.END)
        return attempt.state is not CallState.ENDED

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

    def _until(self, attempt: Attempt, awaited: Awaited, placed: Placed | None, doubt: float) -> datetime:
        if awaited is Awaited.ANALYSIS:
            ended_at = attempt.known.ended_at if attempt.known else None  # under an earlier process, if that is known
            return max(self._backend.now(), self._backend.latest_analysis(ended_at or self._backend.now()))
        if awaited is Awaited.WORD and placed is None:
            return self._backend.now() + timedelta(seconds=doubt)
        created_at = attempt.created_at or attempt.dialed_at if placed is None else placed.created_at
        return self._backend.latest_end(created_at, known=awaited is Awaited.END)


def receipt(attempt: Attempt) -> Placed | None:
    """Return what is known of a call that has an id; None for an attempt without one."""
    if attempt.call_id is None or attempt.state not in (CallState.PLACED, CallState.ENDED):
        return None
    created_at = attempt.created_at or attempt.dialed_at
    return Placed(call_id=attempt.call_id, created_at=created_at, rang=attempt.rang, withdrawing=attempt.withdrawing)


def _now() -> float:
    return asyncio.get_running_loop().time()
