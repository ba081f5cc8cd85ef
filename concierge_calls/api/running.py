"""The runs that this server works on: begun, joined, taken up, stopped for good, and left when the server ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from concierge_calls.api.problems import Problem
from concierge_calls.beginning import drafted_in
from concierge_calls.draft import Order
from concierge_calls.errors import BackendUnreachable, ConciergeError, KestraError, RunLocked, RunRefused
from concierge_calls.exchange import Exchange
from concierge_calls.journal import Journal, Owner, RequestKey
from concierge_calls.models import CallEvent, EventKind
from concierge_calls.plain import masked
from concierge_calls.resuming import continued_in
from concierge_calls.run import Run
from concierge_calls.settings.loading import Settings
from concierge_calls.stopping import LEAVING_LIMIT, Worker

MOST = 100  # runs that are worked on at once
TAKES_UP = timedelta(hours=12)  # what began longer ago a server that starts leaves alone
AGAIN = 30.0  # seconds until a run is tried once more that cannot be taken up, since Vapi or Kestra is out of reach
LAST_WORDS = 5.0  # seconds for the runs to write down that they were left

log = logging.getLogger("concierge_calls.api")

STOPPING = "The server is being stopped, so no run is begun; send the same request again once it is back."
BUSY = f"This server works on {MOST} runs already; send the same request again when one of them is finished."
OTHER_BODY = "Another request came with this Idempotency-Key; use a new key for a new request."
NO_SIMULATOR = "This was a simulated run, and its simulator is gone, so its calls cannot be followed any more."


class Work:
    """One run that is worked on, from its planning to its end."""

    def __init__(self, request: RequestKey | None = None) -> None:
        self.request = request
        self.begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()  # its id, once that is promised
        self.over = asyncio.Event()
        self.fault: Exception | None = None  # a bug that ended it
        self.news = asyncio.Event()  # set at the next event, when there is another one to wait for
        self.run: Run | None = None
        self.hang_up: bool | None = None  # not None: it is stopped for good
        self.task: asyncio.Task[None] | None = None
        self._caller: Worker | None = None

    def __repr__(self) -> str:
        return f"<Work on {self.begun.result() if self.is_promised else 'a draft'}, {self._caller!r}>"

    @classmethod
    def past(cls, run_id: str) -> Work:
        """Return what stands for a run on which nobody works any more."""
        work = cls()
        work.promise(run_id)
        work.over.set()
        return work

    @property
    def is_promised(self) -> bool:
        """Whether its id can be told."""
        return self.begun.done() and not self.begun.cancelled() and self.begun.exception() is None

    def promise(self, run_id: str) -> None:
        """The run is no draft any more."""
        if not self.begun.done():
            self.begun.set_result(run_id)

    def found(self, caller: Worker) -> None:
        """Take note of who can be told to stop."""
        self._caller = caller

    def tell(self, event: CallEvent) -> None:
        """Let those go on who wait for the next event."""
        if event.kind is EventKind.RUN_STARTED:
            self.promise(event.run_id)
        self.wake()

    def wake(self) -> None:
        """Let those go on who wait for anything."""
        self.news.set()
        self.news = asyncio.Event()

    def failed(self, error: Exception) -> None:
        """Take what ended it before its time."""
        if not self.begun.done():
            self.begun.set_exception(error)
            self.begun.exception()  # looked at, also when nobody waits for it
        elif isinstance(error, ConciergeError):
            log.warning("Run %s: %s", self.begun.result(), masked(error.message))
        if not isinstance(error, ConciergeError):
            self.fault = error
            log.error("A run ended by a bug; please report it.", exc_info=error)

    async def stop(self, *, hang_up: bool) -> None:
        """Dial nobody new in it, for good."""
        self.hang_up = hang_up or bool(self.hang_up)
        if self.run is not None:
            await self.run.stop(hang_up=hang_up)

    async def leave(self) -> None:
        """Leave its calls to a resume; one that has not come so far is given up."""
        if self._caller is not None:
            await self._caller.leave()
        elif self.task is not None:
            self.task.cancel()


class Runs:
    """All runs that are worked on, with what they share."""

    def __init__(self, journal: Journal, exchange: Exchange) -> None:
        self.leaving = asyncio.Event()
        self._journal = journal
        self._exchange = exchange
        self._works: set[Work] = set()
        self._by_id: dict[str, Work] = {}

    def __repr__(self) -> str:
        return f"<Runs {len(self._works)} of {MOST} worked on{', leaving' if self.leaving.is_set() else ''}>"

    def __len__(self) -> int:
        return len(self._works)

    def working_on(self, run_id: str) -> Work | None:
        """Return the work on this run; None when this server does none."""
        return self._by_id.get(run_id)

    def begin(self, order: Order, settings: Settings) -> Work:
        """Begin a run, or join the one that was begun by the same request.

        Raises Problem when the server stops, has enough to do, or the request's key was used for another one.
        """
        if self.leaving.is_set():
            raise Problem(503, STOPPING)
        if order.request is not None and (known := self._known(order.request)) is not None:
            return known
        if len(self._works) >= MOST:
            raise Problem(429, BUSY)
        return self._start(Work(order.request), lambda work: self._call(work, order, settings))

    def take_up(self, run_id: str, *, hang_up: bool | None = None) -> Work:
        """Go on with a run that was cut short; with `hang_up`, true or false, only to stop it for good."""
        work = Work()
        work.hang_up = hang_up
        self._by_id[run_id] = work
        return self._start(work, lambda work: self._go_on(work, run_id))

    def take_up_own(self) -> None:
        """Go on with the runs that a server began lately; the others are named in the log."""
        for run in list(self._journal.unfinished(Owner.API)):
            if not run.simulated and datetime.now(UTC) - run.started_at < TAKES_UP:
                log.info("Run %s is taken up again.", run.id)
                self.take_up(run.id)
            elif not run.simulated:
                log.warning("Run %s began over 12 hours ago and is left: concierge-calls resume %s", run.id, run.id)

    async def stop(self, run_id: str, *, hang_up: bool) -> None:
        """Dial nobody new in this run, for good, whoever began it; that is kept when this returns.

        Raises NoSuchRun, RunLocked when another process works on it, and Problem.
        """
        if (work := self.working_on(run_id)) is None:
            known = self._journal.result(run_id)
            if known.run.finished:
                return
            if known.run.simulated and known.stats.in_progress:
                raise Problem(409, NO_SIMULATOR)
            work = self.take_up(run_id, hang_up=hang_up)
        await asyncio.shield(work.begun)
        await work.stop(hang_up=hang_up)

    async def leave(self) -> None:
        """Begin no more, dial nobody new, and leave the calls on the line to whoever resumes them."""
        self.leaving.set()
        works = list(self._works)
        await asyncio.gather(*(work.leave() for work in works))
        tasks = [work.task for work in works if work.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVING_LIMIT + LAST_WORDS)

    def _known(self, request: RequestKey) -> Work | None:
        for work in self._works:
            if work.request is not None and work.request.key == request.key:
                return _same(work.request, request, work)
        found = self._journal.requested(request.key)
        if found is None:
            return None
        known, run_id = found
        return _same(known, request, self.working_on(run_id) or Work.past(run_id))

    def _start(self, work: Work, carry_out: Callable[[Work], Awaitable[None]]) -> Work:
        self._works.add(work)
        work.task = asyncio.ensure_future(self._carry_out(work, carry_out))
        return work

    async def _carry_out(self, work: Work, carry_out: Callable[[Work], Awaitable[None]]) -> None:
        try:
            await carry_out(work)
        except asyncio.CancelledError:
            work.failed(Problem(503, STOPPING))
        except Exception as error:
            work.failed(error)
        finally:
            self._works.discard(work)
            for run_id in [each for each, one in self._by_id.items() if one is work]:
                del self._by_id[run_id]
            work.over.set()
            work.wake()

    async def _call(self, work: Work, order: Order, settings: Settings) -> None:
        async with drafted_in(self._journal, order, settings, exchange=self._exchange) as run, run.connected():
            self._by_id[run.id] = work
            work.run = run
            await run.start(work.tell, on_caller=work.found)

    async def _go_on(self, work: Work, run_id: str) -> None:
        while not await self._went_on(work, run_id):  # noqa: ASYNC110 -- it is Vapi or Kestra that is waited for
            await asyncio.sleep(AGAIN)

    async def _went_on(self, work: Work, run_id: str) -> bool:
        try:
            async with continued_in(self._journal, run_id, self._exchange) as work.run:
                if work.hang_up is not None:
                    await work.run.stop(hang_up=work.hang_up)
                work.promise(run_id)
                async with work.run.connected():
                    await work.run.start(work.tell, on_caller=work.found)
        except (BackendUnreachable, KestraError, RunRefused) as error:
            log.warning("Run %s cannot be taken up yet: %s", run_id, masked(error.message))
            return False
        except RunLocked:
            if work.hang_up is not None:
                raise
            log.warning("Run %s is worked on by another process, so it is left to that one.", run_id)
        return True


def _same(known: RequestKey, request: RequestKey, work: Work) -> Work:
    if known.body != request.body:
        raise Problem(422, OTHER_BODY)
    return work
