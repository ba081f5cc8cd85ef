"""Ending a call before its time: for its deadline, for the user, or because it still waits for a line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from concierge_calls.errors import ReadFailed, ReadRefused
from concierge_calls.models import Reason
from concierge_calls.vapi.client import VapiClient
from concierge_calls.vapi.following import Life, Why, ending_due
from concierge_calls.vapi.gate import Priority
from concierge_calls.vapi.schemas import Call
from concierge_calls.vapi.watch import Watch

_CUTS: Final = {
    Why.USER: Reason("cancelled", "The call was hung up because you stopped the run."),
    Why.DEADLINE: Reason("timeout", "The call was over its time limit, so it was hung up; see --call-timeout."),
}


class HangUp:
    """Asks how a call stands and does what ends it, again and again, until it has ended or would not end."""

    def __init__(
        self,
        client: VapiClient,
        watch: Watch,
        *,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._watch = watch
        self._now = client.clock.now
        self._sleep = sleep

    def begin(self, life: Life) -> None:
        """Begin to end a call, beside its following, which learns of the end as of every other news."""
        life.ending = True
        self._watch.start(life, self._end(life))

    async def _end(self, life: Life) -> None:
        try:
            while (why := ending_due(life, self._now())) is not None:
                await self._try(life, why)
                if life.awaits_commit:
                    return  # it is begun anew then, with another look at the call
                life.news.set()
                await self._sleep(life.pace.fast_sweep if life.absent else life.pace.again)
        finally:
            life.ending = False

    async def _try(self, life: Life, why: Why) -> None:
        # The machine may have slept or its clock have jumped, so nothing is done before Vapi was asked again: the
        # answer shows the call, and its Date header sets the clock.
        with suppress(ReadFailed):  # it is tried again
            is_urgent = why is Why.USER or life.hurried  # somebody waits for it, and not for long
            call = await self._watch.ask(life, Priority.HANG_UP if is_urgent else Priority.OVERDUE)
            still = ending_due(life, self._now())
            if call is None or life.absent or still is None:
                return
            self._lose_patience(life, still)
            if not life.given_up:
                await self._act(life, call, still)

    async def _act(self, life: Life, call: Call, why: Why) -> None:
        """Do what ends the call that this answer, just read, shows.

        DELETE erases a call's data (Vapi, OpenAPI CallController_deleteCallData), so only a call that waits is deleted,
        and only once before it is asked about again. What is done is noted before it leaves, because it may have its
        effect although the reply is lost: a DELETE in the journal too, or whoever takes up the run after us would not
        know it for ours.
        """
        if life.waits and life.shows_waiting(call):
            life.to_be_deleted = True
            if life.may_be_deleted:
                await self._delete(life)
        elif life.control_url:
            before, life.cut = life.cut, life.cut or _CUTS[why]
            if await self._client.end_call(life.control_url):
                life.resisting_since = life.resisting_since or self._now()
            else:
                life.cut = before

    async def _delete(self, life: Life) -> None:
        before, life.deleted = life.deleted, True
        try:
            await self._client.delete_call(life.id, patience=0.0)
        except ReadRefused:  # it began to ring meanwhile; if Vapi does not know it next, that is lag and not our doing
            life.deleted = before
            raise

    def _lose_patience(self, life: Life, why: Why) -> None:
        """Count from the first hang-up that was taken; at the deadline, from when Vapi confirmed that it goes on."""
        now = self._now()
        if why is Why.DEADLINE:
            life.resisting_since = life.resisting_since or now
        stuck = timedelta(seconds=life.pace.stuck)
        life.given_up = life.resisting_since is not None and now - life.resisting_since >= stuck
