"""One change feed that follows every live call: a single list request a tick, whatever their number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final

from concierge_calls.backend import Placed
from concierge_calls.errors import AccountRefused, ReadFailed, ReadRefused
from concierge_calls.plain import count
from concierge_calls.vapi.client import VapiClient
from concierge_calls.vapi.following import NEVER, Life, Pace, rank
from concierge_calls.vapi.gate import Priority
from concierge_calls.vapi.looks import Looks
from concierge_calls.vapi.pages import pages, stamp
from concierge_calls.vapi.schemas import Call

FEED_PATIENCE: Final = 20.0  # seconds; the next tick asks anew, and with less delay than a question of long standing

_SHUT_OUT: Final = (
    "Vapi has refused for 15 minutes to tell about the calls on the line, so they are followed no longer; they go on. "
    "See to VAPI_API_KEY and the account, then: concierge-calls resume."
)


class Watch:
    """Follows calls by what Vapi's list shows as changed, and by their id where the list cannot be trusted.

    Nothing that Vapi does ends it: a read that failed or was refused is asked again at the next tick. Whatever else
    goes wrong is raised in those who follow.
    """

    def __init__(
        self,
        client: VapiClient,
        *,
        phone_number_id: str,
        poll_interval: float,
        pace: Pace,
        warn: Callable[[str], object],
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._warn = warn
        self._gate = client.gate
        self._phone_number_id = phone_number_id
        self._poll_interval = poll_interval
        self._pace = pace
        self._now = client.clock.now
        self._sleep = sleep
        self._lives: dict[str, Life] = {}
        self._somebody = asyncio.Event()
        self._looks = Looks(pace)
        self._failing = False
        self._has_missed = False
        self._refused_since: datetime | None = None
        self._hurries = False  # nobody is to wait for a line any longer
        self._fault: Exception | None = None
        self._users = 0
        self._feed: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        trust = "has missed a change" if self._has_missed else "fails" if self._failing else "trusted"
        return f"<Watch of {len(self._lives)} calls, {self._looks!r}, {trust}>"

    @property
    def sweep(self) -> float:
        """How many seconds of silence are borne before a live call is asked for by its id."""
        return self._pace.fast_sweep if self._failing or self._has_missed else self._pace.sweep

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run the feed while the context lasts, one for all who share it; a new one after the last has left."""
        self._users += 1
        if self._feed is None:
            self._fault = self._refused_since = None
            self._feed = asyncio.create_task(self._run(), name="vapi feed")
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                await self._close(self._feed)

    def follow(self, placed: Placed, deadline: datetime) -> Life:
        """Begin to follow a call; whatever becomes of it sets the `news` of what is returned.

        A call placed long ago is asked for by its id; of a new one the feed tells, from its creation on.
        """
        now = self._now()
        life = Life(
            placed=placed, deadline=deadline, pace=self._pace, heard_at=now, hurried=self._hurries, fault=self._fault
        )
        self._lives[life.id] = life
        if now - placed.created_at > timedelta(seconds=self._pace.fresh):
            if now < deadline:  # an overdue one is asked for by whoever is to end it
                self.ask_soon(life, Priority.OVERDUE)
        else:
            self._looks.newcomer(placed.created_at)
        self._somebody.set()
        return life

    def leave(self, life: Life) -> None:
        """Follow this call no longer; the feed rests when nobody is left."""
        if self._lives.get(life.id) is life:
            del self._lives[life.id]
        life.leave()
        if not self._lives:
            self._somebody.clear()

    def hurry(self) -> set[str]:
        """Have every call taken back that waits for a line, now or later; returns the ids of those that wait now."""
        self._hurries = True
        waiting = [life for life in self._lives.values() if life.waits and not life.is_over]
        for life in waiting:
            life.hurried = True
            life.news.set()
        return {life.id for life in waiting}

    def hasten(self, call_id: str, news: str) -> None:
        """Ask at once for a call that is followed, because somebody says that there is this news of it.

        Nothing is believed: the same news twice, or news of a stranger's call, ask nothing.
        """
        life = self._lives.get(call_id)
        if life is not None and news not in life.heralded:
            life.heralded.add(news)
            self.ask_soon(life, Priority.OVERDUE)

    def get(self, call_id: str) -> Life | None:
        """The call with this id, if it is followed."""
        return self._lives.get(call_id)

    async def news(self, life: Life, seconds: float) -> None:
        """Wait until there is news of a call, for so many seconds at most."""
        self._set_alarm(life, seconds)
        await life.news.wait()
        life.news.clear()

    def start(self, life: Life, work: Coroutine[Any, Any, None]) -> None:
        """Let this work for a call go on beside its following, and end with it; its faults are raised there."""
        task = asyncio.create_task(self._guarded(life, work))
        life.tasks.add(task)
        task.add_done_callback(life.tasks.discard)

    def ask_soon(self, life: Life, priority: Priority) -> None:
        """Ask for a call by its id, beside everything else; a question that failed is left to the next one."""
        life.asking = True
        self.start(life, self._ask_once(life, priority))

    async def ask(self, life: Life, priority: Priority) -> Call | None:
        """Ask for a call by its id, and take the answer in; None where Vapi does not know it. Raises ReadFailed."""
        try:
            call = await self._client.get_call(life.id, priority)
        except ReadRefused:
            life.answered_at = self._now()
            raise
        life.answered_at = now = self._now()
        if call is None:
            life.miss(now)
            return None
        if priority is Priority.SWEEP and self._should_have_told(life, call):
            self._trust(has_missed=True)
        life.hear(call, now)
        return call

    async def _run(self) -> None:
        while True:
            if not self._lives:
                self._rest()
                await self._somebody.wait()
                self._gate.feeding(True)
            next_tick = self._client.clock.monotonic() + self._poll_interval
            try:
                await self._tick()
                self._tell_of_failing(False)
                self._trust(failing=False)
                self._refused_since = None
            except ReadFailed as error:
                if not isinstance(error, ReadRefused):
                    self._client.reach.lost()
                self._tell_of_failing(True)
                self._trust(failing=True)
                if self._is_shut_out(error):
                    self._break(AccountRefused(_SHUT_OUT, "key"))
                    return
            except Exception as fault:
                self._break(fault)
                return
            # What a look took is part of the interval; a Vapi that is slow gets half of it to itself all the same.
            await self._sleep(max(next_tick - self._client.clock.monotonic(), self._poll_interval / 2))

    async def _close(self, feed: asyncio.Task[None]) -> None:
        self._feed = None
        tasks = {feed}.union(*(life.tasks for life in self._lives.values()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self._users:
            self._gate.feeding(False)

    async def _tick(self) -> None:
        look, shown = self._looks.begin(self._now()), dict[str, Call]()
        filters = {"phoneNumberId": self._phone_number_id, "updatedAtGe": stamp(look.since)}
        try:
            async for page in pages(self._client, Priority.FEED, filters, FEED_PATIENCE, known=self._looks.shown):
                shown |= {call.id: call for call in page}
                for call in page:
                    self._tell(call)
        except ReadFailed:
            self._looks.failed(look)
            raise
        self._looks.succeeded(look, shown)

    def _tell(self, call: Call) -> None:
        life = self._lives.get(call.id)
        if life is None or life.call is call:  # a look shows again what the one before it has shown
            return
        if life.call is None or life.is_over or _mark(life.call) != _mark(call):
            life.hear(call, self._now())

    def _should_have_told(self, life: Life, call: Call) -> bool:
        """Whether the feed looked at a time when it should have shown what this answer shows."""
        changed = call.updated_at or call.created_at or life.placed.created_at
        looked_at, shown_by = self._looks.whole_at, changed + timedelta(seconds=self._pace.overlap)
        return looked_at is not None and rank(call) > rank(life.call) and shown_by < looked_at

    def _trust(self, *, failing: bool | None = None, has_missed: bool = False) -> None:
        before = self.sweep
        self._failing = self._failing if failing is None else failing
        self._has_missed |= has_missed
        if self.sweep < before:
            self._wake_everybody()

    def _tell_of_failing(self, failing: bool) -> None:
        if failing and not self._failing:
            self._warn(f"Vapi does not answer; it is asked again. {count(len(self._lives), 'call')} meanwhile unseen.")
        elif self._failing and not failing:
            self._warn("Vapi answers again.")

    def _is_shut_out(self, error: ReadFailed) -> bool:
        """Whether Vapi has refused this key for so long that asking on makes no sense."""
        refused = isinstance(error, ReadRefused) and error.status in (401, 403)
        self._refused_since = (self._refused_since or self._now()) if refused else None
        patience = timedelta(seconds=self._pace.shut_out)
        return self._refused_since is not None and self._now() - self._refused_since >= patience

    def _rest(self) -> None:
        self._gate.feeding(False)
        self._looks.forget()

    def _break(self, fault: Exception) -> None:
        self._fault = fault
        for life in self._lives.values():
            life.fault = fault
        self._wake_everybody()

    def _wake_everybody(self) -> None:
        for life in self._lives.values():
            life.news.set()

    def _set_alarm(self, life: Life, seconds: float) -> None:
        # Most waits end by news long before, so one alarm serves many: who is woken too early only looks again.
        at = asyncio.get_running_loop().time() + seconds
        if life.alarm is not None and not life.alarm.done():
            if life.alarm_at <= at:
                return
            life.alarm.cancel()
        if seconds < NEVER:
            life.alarm, life.alarm_at = asyncio.create_task(self._ring(life, seconds)), at
            life.tasks.add(life.alarm)
            life.alarm.add_done_callback(life.tasks.discard)

    async def _ring(self, life: Life, seconds: float) -> None:
        await self._sleep(seconds)
        life.news.set()

    async def _guarded(self, life: Life, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as fault:
            life.fault = fault
        finally:
            life.news.set()

    async def _ask_once(self, life: Life, priority: Priority) -> None:
        try:
            with suppress(ReadFailed):
                await self.ask(life, priority)
        finally:
            life.asking = False
            life.heard_at = self._now()


def _mark(call: Call) -> tuple[datetime | None, str]:
    return call.updated_at, call.status
