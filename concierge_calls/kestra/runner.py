"""Hands a run to a flow, follows it, and brings home one result per provider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from concierge_calls.claiming import LookAt
from concierge_calls.errors import KestraNotStarted
from concierge_calls.journal import Attempt, Handover, RunRecord
from concierge_calls.kestra.following import Following
from concierge_calls.kestra.gathering import Gathering
from concierge_calls.kestra.handing import LOST, Handing, Terms
from concierge_calls.kestra.home import Home
from concierge_calls.kestra.server import Ready
from concierge_calls.models import CallOutcome, CallState, CallStatus, Reason
from concierge_calls.observers import Observer, OnError, harmless
from concierge_calls.plain import count
from concierge_calls.stopping import LEAVING_LIMIT, Stopping, Worker
from concierge_calls.underway import Awaited, Outlook

# A run in which all else is done is taken up again only where it is named.
NOT_FOUND: Final = (
    "Kestra may have started the run, and no execution of it was found: the phone may have rung, so it is not dialled"
    " again by itself. Look once more with: concierge-calls resume {run}"
)
NO_KEY: Final = (
    "The task at Kestra brought no result, and without VAPI_API_KEY here nobody can ask Vapi: the phone may have rung,"
    " so it is not dialled again by itself. Set it, then: concierge-calls resume {run}"
)
NOT_TOLD: Final = (
    "Kestra does not tell what became of {providers}, so Vapi is asked for their calls; those that are not found within"
    " minutes are uncertain."
)

log = logging.getLogger(__name__)

MakeCaller = Callable[[bool], Worker]  # for a run that goes directly from now on, or for what did not come home


@dataclass(frozen=True, slots=True)
class AtWork:
    """The calls that children may have on the line; until when nobody but they know."""

    calls: int

    def count(self, awaited: Awaited) -> int:
        """Of how many calls this is awaited, as far as Kestra shows it."""
        return self.calls if awaited is Awaited.END else 0

    def latest(self, awaited: Awaited) -> datetime | None:
        """Nothing, since that is not known."""
        del awaited
        return None


class KestraRunner:
    """Works off a run as `Caller` does, but has the rows called by an execution of a flow."""

    def __init__(
        self,
        record: RunRecord,
        ready: Ready,
        terms: Terms,
        *,
        observer: Observer,
        on_error: OnError | None = None,
        caller: MakeCaller | None,
        look: LookAt | None = None,
        dials: bool = True,
        again: bool = False,
        may_go_directly: bool = False,
        poll: float = 1.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Work by this server. `caller` makes one who asks Vapi for what did not come home; None without a key.

        With `may_go_directly` the run is called by that one from here, where certainly nothing was started at Kestra.
        `dials` says whether those are called who are left to call, `again` that some in doubt are dialled by that one,
        too; `poll` is the seconds between two looks.
        """
        self._record = record
        self._ready = ready
        self._make_caller = caller
        self._dials = dials
        self._again = again
        self._may_go_directly = may_go_directly
        self._limit = terms.limit
        self._stopping = Stopping()
        self._home = Home(record, harmless(observer), harmless(on_error) if on_error else None)
        self._handing = Handing(record, ready, terms, self._home, look=look, sleep=sleep)
        self._poll = poll
        self._sleep = sleep
        self._following: Following | None = None
        self._caller: Worker | None = None
        self._work: asyncio.Task[None] | None = None
        self._followed: list[Handover] = []
        self._hang_up = self._leaving = False
        self._goes_on = False  # an execution, of which a resume brings the rest home
        self.went_directly = False

    def __repr__(self) -> str:
        return f"<KestraRunner of {self._record.id} by {self._ready.client!r}, {self._stopping!r}>"

    @property
    def stopped(self) -> Reason | None:
        """The account's or our own fault that ended the dialling, here or where the children run."""
        return self._stopping.reason or (self._caller.stopped if self._caller else None)

    @property
    def interrupted(self) -> bool:
        """Whether the dialling ended before everybody was called, and not for such a fault."""
        return self._stopping.interrupted or (self._caller is not None and self._caller.interrupted)

    @property
    def underway(self) -> Outlook:
        """The calls that we follow ourselves, or else those that children make, as far as Kestra shows it."""
        if self._following is not None:
            return AtWork(self._following.at_work)
        return AtWork(0) if self._caller is None else self._caller.underway

    async def call_all(self) -> None:
        """Have everybody called who is left to call; returns when each result is home, or was left to `resume`.

        Expected failures become results. Raises KestraNotStarted when certainly nobody was called by Kestra, and
        JournalError when the record cannot be kept.
        """
        self._work = asyncio.create_task(self._work_off())
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._leaving:
                self._work.cancel()
                raise

    def drain(self, *, hang_up: bool = False) -> None:
        """Have nobody new called: the execution is killed, and who is on the line then is followed from here.

        Or hung up from here, if that or the rules say so.
        """
        self._hang_up = hang_up or self._hang_up
        self._stopping.interrupt()
        if self._following is not None:
            self._following.stop()
        if self._caller is not None:
            self._caller.drain(hang_up=self._hang_up)

    async def leave(self) -> None:
        """Stop following too, and leave the rest to `resume`; what is in flight, a kill too, gets 10 seconds."""
        self.drain()
        self._leaving = True
        if self._following is not None:
            self._following.leave()
        if self._caller is not None:
            await self._caller.leave()
        if self._work is not None:
            await asyncio.wait({self._work}, timeout=LEAVING_LIMIT)
            self._work.cancel()

    async def _work_off(self) -> None:
        for handover in await self._record.handovers.still_open():
            if not (self._leaving or self._goes_on):
                await self._finish(handover)
        if self._leaving or self._goes_on:
            return
        if await self._has_left():
            await self._take_over()  # first, or more would be on the line than may be
        if self._dials and self._ready.source and (await self._record.counts())[CallState.PENDING]:
            await self._hand_over()
        if not (self._leaving or self._goes_on):
            await self._take_over()

    async def _hand_over(self) -> None:
        if not self._goes_well():
            return
        try:
            handover = await self._handing.hand_over(self._goes_well)
        except KestraNotStarted as error:
            if not (self._may_go_directly and self._make_caller):
                raise
            log.warning(f"The calls go directly to Vapi, since Kestra did not begin this run. {error.message}")
            await self._record.go("direct")
            self.went_directly = True
            return
        if handover is not None:
            await self._follow(handover)

    def _goes_well(self) -> bool:
        return not (self._stopping.is_set or self._leaving)

    async def _finish(self, handover: Handover) -> None:
        """Follow what an earlier process handed over, as far as it ever left."""
        if handover.posted_at is None:
            await self._record.handovers.give_back(handover)
            return
        if handover.execution_id is None:
            found = await self._handing.found(handover, self._goes_well)
            if found is None:
                await self._doubt(await self._record.handovers.attempts(handover), LOST, NOT_FOUND)
                return
            handover = found
        await self._follow(handover)

    async def _follow(self, handover: Handover) -> None:
        asks_vapi = self._make_caller is not None
        gathering = Gathering(
            self._record, self._ready.client, handover, self._home, self._stopping, asks_vapi=asks_vapi
        )
        self._following = Following(
            self._record, self._ready, handover, gathering, self._stopping, poll=self._poll, sleep=self._sleep
        )
        try:
            if self._stopping.interrupted:
                self._following.stop()
            self._goes_on = not await self._following.follow()
            self._followed.append(handover)
            if self._following.was_killed and not self._goes_on:  # its children may have dialled until a moment ago
                await self._record.handovers.in_doubt(handover)
        finally:
            self._following = None

    async def _doubt(self, attempts: Iterable[Attempt], code: str, why: str) -> None:
        reason = Reason(code, why.format(run=self._record.id))
        for attempt in attempts:
            await self._home.doubt(attempt, CallOutcome(status=CallStatus.UNCERTAIN, error=reason))

    async def _has_left(self) -> bool:
        return any(attempt.state is not CallState.UNCERTAIN for attempt in await self._record.unfinished())

    async def _take_over(self) -> None:
        """Have those asked for at Vapi whose results did not come home, or doubt them where nobody can ask."""
        if not self.went_directly:
            self._record.dial_nobody()
        if self._make_caller is None:
            await self._doubt(await self._record.unfinished(), "not_brought_home", NO_KEY)
            return
        if not (self._again or self.went_directly or await self._record.unfinished()):
            return
        dialing = [each for each in await self._record.unfinished() if each.state is CallState.DIALING]
        for attempt in dialing:
            await self._home.begun(attempt)  # as far as anybody knows
        if dialing and not (self._stopping.interrupted and len(dialing) <= self._limit):  # of those that is expected
            log.warning(NOT_TOLD.format(providers=count(len(dialing), "provider")))
        self._caller = caller = self._make_caller(self.went_directly)
        if self._stopping.interrupted:  # else nobody is to be hung up, whatever the rules say
            caller.drain(hang_up=self._hang_up)
        await caller.call_all()
        for handover in self._followed:
            await self._record.handovers.add_up(handover)
