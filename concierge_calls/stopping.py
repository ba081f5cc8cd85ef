"""Decides when nobody new is dialled: told so, refused by the account, failing alike in a row, or unanswered."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from enum import Enum, auto
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from concierge_calls.backend import Fault, Progress, Stage, Turn
from concierge_calls.models import CallOutcome, CallStatus, Reason
from concierge_calls.plain import count
from concierge_calls.underway import Outlook

LEAVING_LIMIT: Final = 10.0  # seconds for requests in flight when calls are left to a resume
OFFLINE_LIMIT: Final = 15 * 60.0  # seconds in which nobody could be dialled and nobody was on the line
MOST_IN_DOUBT: Final = 3  # requests to dial in a row whose replies were lost and whose calls were not found

T = TypeVar("T")
log = logging.getLogger(__name__)

_OFFLINE: Final = (
    "Vapi has been out of reach for 15 minutes and nobody is on the line, so the run stops here. "
    "See to the network, then: {resume}"
)
_UNANSWERED: Final = (
    "Vapi does not answer requests to dial, and {calls} in a row are in doubt, so nobody else is dialled. "
    "Those calls are still looked for; once Vapi is well, go on with: {resume}"
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


class Worker(Protocol):
    """Whoever works off a run: has everybody called who is left, and may be told to stop."""

    @property
    def stopped(self) -> Reason | None:
        """The account's or our own fault that ended the dialling."""

    @property
    def interrupted(self) -> bool:
        """Whether the dialling ended before everybody was called, and not for such a fault."""

    @property
    def underway(self) -> Outlook:
        """The calls that are not settled, as they are now."""

    async def call_all(self) -> None:
        """Call everybody who is left to call; returns when each call is settled, or was left to `resume`."""

    def drain(self, *, hang_up: bool = False) -> None:
        """Dial nobody new; the calls on the line are followed to their end, or hung up if that or the rules say so."""

    async def leave(self) -> None:
        """Stop following too, and leave the calls to `resume`."""


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


class _Look(Enum):
    GOES_ON = auto()
    UNANSWERED = auto()
    IN_VAIN = auto()


class Doubts:
    """The requests to dial in a row whose replies were lost; one that is known to have arrived ends the row.

    One may be chance, and the others go on. After a second one nobody is dialled until the call of the first was found
    or looked for in vain, after a third one until that is known of all of them; a request in flight may be the next.
    Once three were looked for in vain, one request at a time is a try, until one arrives.
    """

    def __init__(self) -> None:
        self._row: dict[str, _Look] = {}  # by the attempt's key: how the first looks for its call went
        self._in_flight: set[Turn] = set()
        self._tried = False  # the last request left when there were too many already
        self._borne = asyncio.Event()
        self._borne.set()

    def __repr__(self) -> str:
        return f"<Doubts {', '.join(look.name.lower() for look in self._row.values()) or 'none'}>"

    def __len__(self) -> int:
        return len(self._row)

    @property
    def are_borne(self) -> bool:
        """Whether somebody else may be dialled."""
        return self._borne.is_set()

    @property
    def are_too_many(self) -> bool:
        """Whether so many calls were looked for in vain that whoever dials now is to stop."""
        return sum(look is _Look.IN_VAIN for look in self._row.values()) >= MOST_IN_DOUBT

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
        self._row[key] = _Look.GOES_ON
        self._weigh()

    def arrived(self) -> None:
        """A request was answered with a call."""
        self._row.clear()
        self._weigh()

    def found(self, key: str) -> None:
        """This attempt's call was found, so its request had arrived."""
        if key in self._row:
            self.arrived()

    def not_found(self, key: str, *, answered: bool, last: bool = False) -> bool:
        """The first looks for this attempt's call did not find it, or a later one, perhaps the last.

        One that was not answered says nothing. Nor does the answer that comes in the end: who could not be asked for
        calls either was not there, and now is. Returns whether there are too many by this one.
        """
        look, were_too_many = self._row.get(key), self.are_too_many
        if look is _Look.UNANSWERED and answered:
            del self._row[key]
        elif look is not None and look is not _Look.IN_VAIN:
            self._row[key] = _Look.IN_VAIN if answered or last else _Look.UNANSWERED
        self._weigh()
        is_news = look is not _Look.IN_VAIN and self._row.get(key) is _Look.IN_VAIN
        return is_news and self.are_too_many and (self._tried or not were_too_many)

    def _weigh(self) -> None:
        (self._borne.set if self._may_go_on() else self._borne.clear)()

    def _may_go_on(self) -> bool:
        if self.are_too_many:
            return not self._in_flight and all(look is _Look.IN_VAIN for look in self._row.values())
        if self._row and len(self) + len(self._in_flight) >= MOST_IN_DOUBT:
            return False
        return len(self) < 2 or next(iter(self._row.values())) is _Look.IN_VAIN


class Brakes:
    """What stops all runs that share it: replies lost in a row, and calls that failed alike in a row.

    Neither outlasts its cause: whoever begins later is not stopped by what was before, but by one more of the kind.
    """

    def __init__(self) -> None:
        self.doubts = Doubts()
        # A fault that is no number's own is everybody's who calls as that run does. All runs that begin on a server do,
        # but one that is taken up keeps its number and assistant. A refused request may be about what one run asked
        # for, so it stops that one alone: it rings nobody, and if it is the account, theirs are refused as well.
        self.rows: defaultdict[object, Row] = defaultdict(Row)
        self.runs: list[Stopping] = []  # that are being worked off

    def __repr__(self) -> str:
        return f"<Brakes of {count(len(self.runs), 'run')}, {self.doubts!r}>"


class Stopping:
    """Whether nobody new is dialled, and why; once it is so, it stays so."""

    def __init__(self, brakes: Brakes | None = None, calls_as: object = None) -> None:
        """Share on `brakes` what is learnt with other runs, and what ends alike with those that call as this one."""
        self.reason: Reason | None = None  # the account's or our own fault
        self.interrupted = False  # it ends before everybody was called, for no such fault
        self.offline = False  # as nobody was reached for long
        self.calls_as = calls_as
        self.resume = ""  # how it goes on
        self._brakes = brakes or Brakes()
        self.doubts = self._brakes.doubts
        self._row = self._brakes.rows[calls_as]
        self._event = asyncio.Event()

    def __repr__(self) -> str:
        why = self.reason.code if self.reason else "interrupted" if self.interrupted else "not stopped"
        return f"<Stopping {why}, {self._row!r}, {self._brakes!r}>"

    @property
    def is_set(self) -> bool:
        """Whether nobody new is dialled."""
        return self._event.is_set()

    @asynccontextmanager
    async def shared(self, run_id: str) -> AsyncIterator[None]:
        """Have this run stopped, while the context lasts, by what befalls the calls of any run on the same brakes."""
        self.resume = f"concierge-calls resume {run_id}"
        self._brakes.runs.append(self)
        try:
            yield
        finally:
            self._brakes.runs.remove(self)

    def interrupt(self) -> None:
        """Somebody said so, and a resume goes on."""
        self.interrupted = True
        self._event.set()

    def give_up(self) -> None:
        """Nobody has been reached for long."""
        log.warning(_OFFLINE.format(resume=self.resume))
        self.offline = True
        self.interrupt()

    def not_found(self, key: str, *, answered: bool, last: bool = False) -> None:
        """A call in doubt was looked for in vain: stop all if that is so of those in a row; see `Doubts.not_found`."""
        if self.doubts.not_found(key, answered=answered, last=last):
            for run in [each for each in self._brakes.runs if not each.is_set]:
                log.warning(_UNANSWERED.format(calls=count(len(self.doubts), "call"), resume=run.resume))
                run.interrupt()

    def refuse(self, reason: Reason) -> None:
        """Every other call would be refused for this reason; the first one that is named is kept."""
        self.reason = self.reason or reason
        self._event.set()

    def ended(self, progress: Progress) -> None:
        """A call has ended: stop all if that is the account's fault, or if calls in a row say that it is."""
        if progress.outcome is not None and (reason := self._row.add(progress.outcome, progress.fault)):
            for run in [each for each in self._brakes.runs if each.calls_as == self.calls_as]:
                run.refuse(reason)

    async def unless(self, waiting: Coroutine[Any, Any, T], undo: Callable[[T], object] | None = None) -> T | None:
        """Return what is waited for, or None as soon as nobody new is dialled.

        `undo` gives back what had come when whoever waits for it was cancelled.
        """
        work = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.cancel():  # which does nothing to work that is done
                await asyncio.wait({work})
        except asyncio.CancelledError:
            if undo is not None:
                work.add_done_callback(partial(_give_back, undo))
            raise
        finally:
            stop.cancel()
            work.cancel()
        return None if work.cancelled() else work.result()


def _give_back(undo: Callable[[T], object], work: asyncio.Future[T]) -> None:
    if not work.cancelled() and work.exception() is None:
        undo(work.result())


def _came_to(outcome: CallOutcome, stage: Stage) -> bool:
    came_to = _CAME_TO.get(outcome.status)
    return came_to is not None and _ORDER.index(came_to) >= _ORDER.index(stage)
