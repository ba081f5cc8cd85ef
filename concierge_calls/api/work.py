"""One run that a server works on, from its planning to its end, and what others can wait for meanwhile."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

from concierge_calls.errors import ConciergeError, IllegalTransition
from concierge_calls.journal import RequestKey
from concierge_calls.models import CallEvent, EventKind
from concierge_calls.plain import masked
from concierge_calls.run import Run
from concierge_calls.stopping import Worker
from concierge_calls.underway import Awaited

log = logging.getLogger("concierge_calls.api")


class Work:
    """One run that is worked on; between two tries it sleeps."""

    def __init__(self, request: RequestKey | None = None, since: datetime | None = None) -> None:
        """Begin to work; `since` is when the run was asked for, which is now unless it is said."""
        self.request = request
        self.since = since or datetime.now(UTC)
        self.begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()  # its id, once that is promised
        self.over = asyncio.Event()
        self.rests = asyncio.Event()  # it is over, or it stopped early and is tried again later
        self.waits_for: str | None = None  # why it stopped early, and when it is tried again
        self.tried_at: datetime | None = None  # when that is, if it is tried by itself
        self.fault: Exception | None = None  # a bug that ended it
        self.news = asyncio.Event()  # set at the next event, when there is another one to wait for
        self.run: Run | None = None  # held now
        self.is_asleep = False
        self.tries = 0  # after which it stopped early
        self.task: asyncio.Task[None] | None = None
        self._awake = asyncio.Event()
        self._caller: Worker | None = None

    def __repr__(self) -> str:
        doing = "asleep" if self.is_asleep else repr(self._caller)
        return f"<Work on {self.begun.result() if self.is_promised else 'a draft'}, {doing}>"

    @classmethod
    def past(cls, run_id: str) -> Work:
        """Return what stands for a run that is finished."""
        work = cls()
        work.promise(run_id)
        work.end()
        return work

    @property
    def is_promised(self) -> bool:
        """Whether its id can be told."""
        return self.begun.done() and not self.begun.cancelled() and self.begun.exception() is None

    @property
    def is_worked_off(self) -> bool:
        """Whether somebody is there who can be told to stop."""
        return self._caller is not None

    @property
    def follows(self) -> bool:
        """Whether anything is awaited of its calls, those that an earlier server left among them."""
        return self._caller is not None and any(self._caller.underway.count(each) for each in Awaited)

    def promise(self, run_id: str) -> None:
        """The run is no draft any more."""
        if not self.begun.done():
            self.begun.set_result(run_id)

    # — while it is tried —

    def hold(self, run: Run) -> None:
        """Take note of the run, which is held from now on."""
        self.run = run
        self._awake.clear()
        self.wake()

    def found(self, caller: Worker) -> None:
        """Take note of who can be told to stop."""
        self._caller = caller

    def let_go(self) -> None:
        """The run is held no longer."""
        self.run = self._caller = None

    def tell(self, event: CallEvent) -> None:
        """Let those go on who wait for the next event."""
        if event.kind is EventKind.RUN_STARTED:
            self.promise(event.run_id)
        self.wake()

    def wake(self) -> None:
        """Let those go on who wait for anything."""
        self.news.set()
        self.news = asyncio.Event()

    async def stop(self, *, hang_up: bool) -> None:
        """Dial nobody new in the run, which is held, for good."""
        self._awake.set()  # if it stops early, what is left to do is done at once
        if self.run is not None:
            await self.run.stop(hang_up=hang_up)

    async def leave(self) -> None:
        """Leave its calls to a resume; one that has not come so far is given up."""
        if self._caller is not None:
            await self._caller.leave()
        elif self.task is not None:
            self.task.cancel()

    # — between two tries —

    async def sleep(self, seconds: float, why: str | None = None) -> bool:
        """Wait so long, or until it is to go on; whether somebody said so.

        With `why` it stopped early, and those who wait for its end need not wait any longer.
        """
        self.is_asleep = True
        if why is not None and not self._awake.is_set():
            self.waits_for = why
            self.rests.set()
        self.wake()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._awake.wait()
            return self._awake.is_set()
        finally:
            self._awake.clear()
            self._get_up()

    def go_on(self) -> None:
        """Have it tried at once if it sleeps; whoever comes now waits for what comes of that."""
        self.since = datetime.now(UTC)
        if self.is_asleep:
            self._awake.set()
            self._get_up()

    def _get_up(self) -> None:
        self.is_asleep, self.waits_for, self.tried_at = False, None, None
        self.rests.clear()

    # — its end —

    def failed(self, error: Exception) -> None:
        """Take what ended it before its time."""
        is_bug = isinstance(error, IllegalTransition) or not isinstance(error, ConciergeError)
        if not self.begun.done():
            self.begun.set_exception(error)
            self.begun.exception()  # looked at, also when nobody waits for it
        elif isinstance(error, ConciergeError) and not is_bug:
            log.warning("Run %s: %s", self.begun.result(), masked(error.message))
        if is_bug:
            self.fault = error
            log.error("A run ended by a bug; please report it.", exc_info=error)

    def end(self) -> None:
        """Nobody here works on it any more."""
        self.over.set()
        self.rests.set()
        self.wake()
