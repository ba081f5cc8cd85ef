"""Decides when nobody new is dialled: told so, refused by the account, failing alike in a row, or long offline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from concierge_calls.backend import Fault, Progress, Stage
from concierge_calls.models import CallOutcome, CallStatus, Reason

LEAVING_LIMIT: Final = 10.0  # seconds for requests in flight when calls are left to a resume
OFFLINE_LIMIT: Final = 15 * 60.0  # seconds in which nobody could be dialled and nobody was on the line

T = TypeVar("T")
log = logging.getLogger(__name__)

_OFFLINE: Final = (
    "Vapi has been out of reach for 15 minutes and nobody is on the line, so the run stops here. "
    "See to the network, then: concierge-calls resume."
)
_ORDER: Final = list(Stage)
# How far a call came that ended so; of any other it is not known, or it was not its own doing.
_CAME_TO: Final = {
    CallStatus.NO_ANSWER: Stage.RINGING,
    CallStatus.BUSY: Stage.RINGING,
    CallStatus.TIMEOUT: Stage.RINGING,
    CallStatus.VOICEMAIL: Stage.IN_PROGRESS,
    CallStatus.COMPLETED: Stage.IN_PROGRESS,
}


class Row:
    """The calls that ended for one and the same reason, one after the other."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._fault: Fault | None = None
        self._length = 0

    def __repr__(self) -> str:
        return f"<Row of {self._length}: {self._reason}>"

    def add(self, outcome: CallOutcome, fault: Fault | None) -> Reason | None:
        """Take the next call's end; returns why the run is to be stopped, when it is.

        What says nothing of the others, such as a bad number, neither lengthens the row nor ends it.
        """
        if fault is None:
            if self._fault is not None and _came_to(outcome, self._fault.before):
                self._fault, self._length = None, 0
            return None
        goes_on = self._fault is not None and outcome.ended_reason == self._reason
        self._length = self._length + 1 if goes_on else 1
        self._reason, self._fault = outcome.ended_reason, fault
        return fault.reason if self._length >= fault.times else None


class Stopping:
    """Whether nobody new is dialled, and why; once it is so, it stays so."""

    def __init__(self) -> None:
        self.reason: Reason | None = None  # the account's or our own fault
        self.interrupted = False  # it ends before everybody was called, for no such fault
        self.offline = False  # as nobody was reached for long
        self._row = Row()
        self._event = asyncio.Event()

    def __repr__(self) -> str:
        why = self.reason.code if self.reason else "interrupted" if self.interrupted else "not stopped"
        return f"<Stopping {why}, {self._row!r}>"

    @property
    def is_set(self) -> bool:
        """Whether nobody new is dialled."""
        return self._event.is_set()

    def interrupt(self) -> None:
        """Somebody said so, and a resume goes on."""
        self.interrupted = True
        self._event.set()

    def give_up(self) -> None:
        """Nobody has been reached for long."""
        log.warning(_OFFLINE)
        self.offline = True
        self.interrupt()

    def refuse(self, reason: Reason) -> None:
        """Every other call would be refused for this reason; the first one that is named is kept."""
        self.reason = self.reason or reason
        self._event.set()

    def ended(self, progress: Progress) -> None:
        """A call has ended: stop if that is the account's fault, or if calls in a row say that it is."""
        if progress.outcome is not None and (reason := self._row.add(progress.outcome, progress.fault)):
            self.refuse(reason)

    async def unless(self, waiting: Coroutine[Any, Any, T]) -> T | None:
        """Return what is waited for, or None as soon as nobody new is dialled."""
        work = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            work.cancel()  # does nothing to work that is done
        with suppress(asyncio.CancelledError):
            return await work
        return None


def _came_to(outcome: CallOutcome, stage: Stage) -> bool:
    came_to = _CAME_TO.get(outcome.status)
    return came_to is not None and _ORDER.index(came_to) >= _ORDER.index(stage)
