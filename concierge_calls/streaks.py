"""Calls in a row that say more than one alone: those that ended alike, and those whose replies were lost."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Final

from concierge_calls.backend import Fault, Stage, Turn
from concierge_calls.models import CallOutcome, CallStatus, Reason

MOST_IN_DOUBT: Final = 3  # requests to dial in a row whose replies were lost and whose calls were not found

_ORDER: Final = list(Stage)
# How far a call came that ended so; of any other it is not known, or it was not its own doing.
_CAME_TO: Final = {
    CallStatus.NO_ANSWER: Stage.RINGING,
    CallStatus.BUSY: Stage.RINGING,
    CallStatus.TIMEOUT: Stage.RINGING,
    CallStatus.VOICEMAIL: Stage.IN_PROGRESS,
    CallStatus.COMPLETED: Stage.IN_PROGRESS,
}


class Streak:
    """The calls that ended for one and the same reason, one after the other."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._fault: Fault | None = None
        self._length = 0

    def __repr__(self) -> str:
        return f"<Streak of {self._length}: {self._reason}>"

    def add(self, outcome: CallOutcome, fault: Fault | None) -> Reason | None:
        """Take the next call's end; returns why the run is to be stopped, when it is.

        What says nothing of the others, such as a bad number, neither lengthens the streak nor ends it.
        """
        if fault is None:
            if self._fault is not None and _came_to(outcome, self._fault.before):
                self._fault, self._length = None, 0
            return None
        goes_on = self._fault is not None and outcome.ended_reason == self._reason
        self._length = self._length + 1 if goes_on else 1
        self._reason, self._fault = outcome.ended_reason, fault
        return fault.reason if self._length >= fault.times else None


class _FirstLooks(Enum):
    """How the first looks for a call whose reply was lost went."""

    GOES_ON = auto()
    UNANSWERED = auto()
    IN_VAIN = auto()


class Doubts:
    """The requests to dial in a row whose replies were lost; one that is known to have arrived ends the streak.

    One may be chance, and the others go on. After a second one nobody is dialled until the call of the first was found
    or looked for in vain, after a third one until that is known of all of them; a request in flight may be the next.
    Once three were looked for in vain, one request at a time is a try, until one arrives.
    """

    def __init__(self) -> None:
        self._looks: dict[str, _FirstLooks] = {}  # by the attempt's key
        self._in_flight: set[Turn] = set()
        self._tried = False  # the last request left when there were too many already
        self._borne = asyncio.Event()
        self._borne.set()

    def __repr__(self) -> str:
        return f"<Doubts {', '.join(looks.name.lower() for looks in self._looks.values()) or 'none'}>"

    def __len__(self) -> int:
        return len(self._looks)

    @property
    def are_borne(self) -> bool:
        """Whether somebody else may be dialled."""
        return self._borne.is_set()

    @property
    def are_too_many(self) -> bool:
        """Whether so many calls were looked for in vain that whoever dials now is to stop."""
        return sum(looks is _FirstLooks.IN_VAIN for looks in self._looks.values()) >= MOST_IN_DOUBT

    async def wait(self) -> None:
        """Return when somebody else may be dialled."""
        await self._borne.wait()

    def sending(self, turn: Turn) -> None:
        """A request is about to leave in this turn."""
        self._tried = self.are_too_many
        self._in_flight.add(turn)
        self._weigh()

    def answered(self, turn: Turn) -> None:
        """The request in this turn is no longer in flight, or never was; a second time does nothing."""
        self._in_flight.discard(turn)
        self._weigh()

    def lost(self, key: str) -> None:
        """The reply to this attempt's request was lost."""
        self._looks[key] = _FirstLooks.GOES_ON
        self._weigh()

    def arrived(self) -> None:
        """A request was answered with a call."""
        self._looks.clear()
        self._weigh()

    def found(self, key: str) -> None:
        """This attempt's call was found, so its request had arrived."""
        if key in self._looks:
            self.arrived()

    def not_found(self, key: str, *, answered: bool, last: bool = False) -> bool:
        """The first looks for this attempt's call did not find it, or a later one, perhaps the last.

        One that was not answered says nothing. Nor does the answer that comes in the end: who could not be asked for
        calls either was not there, and now is. Returns whether there are too many by this one.
        """
        looks, were_too_many = self._looks.get(key), self.are_too_many
        if looks is _FirstLooks.UNANSWERED and answered:
            del self._looks[key]
        elif looks is not None and looks is not _FirstLooks.IN_VAIN:
            self._looks[key] = _FirstLooks.IN_VAIN if answered or last else _FirstLooks.UNANSWERED
        self._weigh()
        is_news = looks is not _FirstLooks.IN_VAIN and self._looks.get(key) is _FirstLooks.IN_VAIN
        return is_news and self.are_too_many and (self._tried or not were_too_many)

    def _weigh(self) -> None:
        (self._borne.set if self._may_go_on() else self._borne.clear)()

    def _may_go_on(self) -> bool:
        if self.are_too_many:
            return not self._in_flight and all(looks is _FirstLooks.IN_VAIN for looks in self._looks.values())
        if self._looks and len(self) + len(self._in_flight) >= MOST_IN_DOUBT:
            return False
        return len(self) < 2 or next(iter(self._looks.values())) is _FirstLooks.IN_VAIN


def _came_to(outcome: CallOutcome, stage: Stage) -> bool:
    came_to = _CAME_TO.get(outcome.status)
    return came_to is not None and _ORDER.index(came_to) >= _ORDER.index(stage)
