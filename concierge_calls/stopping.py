"""Decides when nobody new is dialled: told so, refused by the account, failing alike in a row, or unanswered."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from concierge_calls.backend import Progress
from concierge_calls.models import Reason
from concierge_calls.plain import count
from concierge_calls.streaks import Doubts, Streak
from concierge_calls.underway import Outlook

LEAVING_LIMIT: Final = 10.0  # seconds for requests in flight when calls are left to a resume
OFFLINE_LIMIT: Final = 15 * 60.0  # seconds in which nobody could be dialled and nobody was on the line

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


class Brakes:
    """What stops all runs that share it: replies lost in a row, and calls that failed alike in a row.

    Neither outlasts its cause: whoever begins later is not stopped by what was before, but by one more of the kind.
    """

    def __init__(self) -> None:
        self.doubts = Doubts()
        # A fault that is no number's own is everybody's who calls as that run does. All runs that begin on a server do,
        # but one that is taken up keeps its number and assistant. A refused request may be about what one run asked
        # for, so it stops that one alone: it rings nobody, and if it is the account, theirs are refused as well.
        self.streaks: defaultdict[object, Streak] = defaultdict(Streak)
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
        self._streak = self._brakes.streaks[calls_as]
        self._is_set = False
        self._works: set[asyncio.Future[Any]] = set()  # what is waited for unless this is set

    def __repr__(self) -> str:
        why = self.reason.code if self.reason else "interrupted" if self.interrupted else "not stopped"
        return f"<Stopping {why}, {self._streak!r}, {self._brakes!r}>"

    @property
    def is_set(self) -> bool:
        """Whether nobody new is dialled."""
        return self._is_set

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
        self._set()

    def give_up(self) -> None:
        """Nobody has been reached for long; said once, however many waited."""
        if self.offline:
            return
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
        self._set()

    def ended(self, progress: Progress) -> None:
        """A call has ended: stop all if that is the account's fault, or if calls in a row say that it is."""
        if progress.outcome is not None and (reason := self._streak.add(progress.outcome, progress.fault)):
            for run in [each for each in self._brakes.runs if each.calls_as == self.calls_as]:
                run.refuse(reason)

    async def unless(self, waiting: Coroutine[Any, Any, T], undo: Callable[[T], object] | None = None) -> T | None:
        """Return what is waited for, or None as soon as nobody new is dialled.

        `undo` gives back what had come when whoever waits for it was cancelled.
        """
        work = asyncio.ensure_future(waiting)
        self._works.add(work)
        try:
            if self._is_set:
                work.cancel()
            await asyncio.wait({work})
        except asyncio.CancelledError:
            if undo is not None:
                work.add_done_callback(partial(_give_back, undo))
            raise
        finally:
            self._works.discard(work)
            work.cancel()  # which does nothing to work that is done
        return None if work.cancelled() else work.result()

    def _set(self) -> None:
        works = () if self._is_set else self._works
        self._is_set = True
        for work in works:  # but not in the midst of what it does: it may have come to its end, and be told of it
            work.get_loop().call_soon(work.cancel)


def _give_back(undo: Callable[[T], object], work: asyncio.Future[T]) -> None:
    if not work.cancelled() and work.exception() is None:
        undo(work.result())
