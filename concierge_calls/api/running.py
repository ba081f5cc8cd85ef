"""The runs that this server works on: begun, joined, taken up, stopped for good, and left when the server ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from concierge_calls.api.left_lines import LeftLines
from concierge_calls.api.problems import Problem
from concierge_calls.api.work import Work
from concierge_calls.beginning import drafted_in
from concierge_calls.draft import Order
from concierge_calls.errors import ConciergeError, IllegalTransition, JournalError, NoSuchRun, RunLocked
from concierge_calls.exchange import Exchange
from concierge_calls.journal import Journal, Owner, RequestKey
from concierge_calls.models import RunResult
from concierge_calls.plain import count, masked
from concierge_calls.resuming import continued_in, stop_for_good
from concierge_calls.run import STOPPED
from concierge_calls.settings.loading import Settings
from concierge_calls.stopping import LEAVING_LIMIT

MOST = 100  # runs that are worked on at once
TAKES_UP = timedelta(hours=12)  # what was asked for longer ago is left alone
FIRST_WAIT, LONGEST_WAIT = 30.0, 600.0  # seconds until a run that stopped early is tried again
LOOK = 1.0  # seconds between two looks at a run that another process works on
SOON = 5.0  # seconds in which a run ends that is stopped while nobody is on the line
LAST_WORDS = 5.0  # seconds for the runs to write down that they were left

log = logging.getLogger("concierge_calls.api")

STOPPING = "The server is being stopped, so no run is begun; send the same request again once it is back."
BUSY = f"This server works on {MOST} runs already; send the same request again when one of them is finished."
OTHER_BODY = "Another request came with this Idempotency-Key; use a new key for a new request."
NO_SIMULATOR = (
    "This was a simulated run, and its simulator is gone, so its calls cannot be followed any more; begin another one"
    " with a new Idempotency-Key."
)
_CUT_SHORT = "Vapi was out of reach for long, or did not answer requests to dial."
_AGAIN = "It is tried again in {wait}, and at once when the request is sent again with its Idempotency-Key."
_BY_HAND = (
    "Each try would call somebody for nothing, so it waits until that is mended; then send the request again with its"
    " Idempotency-Key, or: concierge-calls resume {}"
)
_KEPT = "a server that is started again goes on with it."
_LOST = "its simulator is gone with the server."
_LEFT = "Run %s began over 12 hours ago and is left: concierge-calls resume %s"
# The dialling stopped because calls that were placed ended by a fault that is none of their numbers'.
_AFTER_CALLS = frozenset({"configuration", "repeated_failure"})


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a run stopped before it was finished."""

    message: str
    by_itself: bool = True  # it may be tried again without anybody's doing


_ELSEWHERE = Halt("Another process works on it.")

Step = Callable[[Work], Awaitable[Halt | None]]


def wait_after(tries: int) -> float:
    """Return how many seconds a run waits that has stopped early so often."""
    return min(FIRST_WAIT * 2.0 ** min(tries - 1, 10), LONGEST_WAIT)


class Runs:
    """All runs that are worked on, with what they share."""

    def __init__(self, journal: Journal, exchange: Exchange, waits: Callable[[int], float] = wait_after) -> None:
        """Work on the runs of this journal; `waits` says how many seconds after so many tries."""
        self.leaving = asyncio.Event()
        self._journal = journal
        self._exchange = exchange
        self._left = LeftLines(exchange.lines)
        self._waits = waits
        self._works: set[Work] = set()
        self._by_id: dict[str, Work] = {}

    def __repr__(self) -> str:
        return f"<Runs {len(self)} of {MOST} worked on{', leaving' if self.leaving.is_set() else ''}>"

    def __len__(self) -> int:
        return sum(not work.is_asleep for work in self._works)

    def working_on(self, run_id: str) -> Work | None:
        """Return the work on this run, which may be asleep; None when this server does none."""
        return self._by_id.get(run_id)

    def begin(self, order: Order, settings: Settings) -> Work:
        """Begin a run, or join the one that was begun by the same request; raises Problem as `join` does."""
        if (known := self.join(order.request)) is not None:
            return known
        self._refuse_too_many()
        return self._start(Work(order.request), lambda work: self._call(work, order, settings))

    def join(self, request: RequestKey | None) -> Work | None:
        """Return the work on the run that was begun by this request, which is tried at once if it sleeps.

        None where there is no such run. Raises Problem when the server stops or has enough to do, the key was used for
        another request, or it is a simulated run that was cut short; and KeyInUse.
        """
        if self.leaving.is_set():
            raise Problem(503, STOPPING)
        known = None if request is None else self._known(request)
        if known is not None:
            known.go_on()
        return known

    def take_up(self, run_id: str, since: datetime | None = None) -> Work:
        """Go on with a run that was cut short, and was asked for then, or now."""
        work = Work(since=since)
        work.promise(run_id)
        self._by_id[run_id] = work
        self._left.hold(work, self._journal.result(run_id))
        return self._start(work, self._go_on)

    def take_up_own(self) -> None:
        """Go on with the runs that a server began lately; the others are named in the log."""
        for run in list(self._journal.unfinished(Owner.API)):
            if run.simulated:
                log.warning("Run %s was a simulated one, and its simulator is gone, so it stays unfinished.", run.id)
            elif datetime.now(UTC) - run.started_at < TAKES_UP:
                log.info("Run %s is taken up again.", run.id)
                self.take_up(run.id, run.started_at)
            else:
                log.warning(_LEFT, run.id, run.id)

    async def stop(self, run_id: str, *, hang_up: bool) -> None:
        """Dial nobody new in this run, for good, whoever began it; that is kept when this returns.

        Where nobody is on the line, the run is as a rule finished then. Raises NoSuchRun, RunLocked when another
        process works on it, and Problem.
        """
        while (work := self.working_on(run_id)) is not None and work.run is None and not work.is_asleep:
            await work.news.wait()  # it is about to be held, or to be left
        if work is not None and work.run is not None:
            await work.stop(hang_up=hang_up)
        else:
            known = self._journal.result(run_id)
            if known.run.finished:
                return
            if work is None and known.run.simulated and known.stats.in_progress:
                raise Problem(409, NO_SIMULATOR)
            await stop_for_good(self._journal, run_id, hang_up=hang_up)
            work = self.working_on(run_id) or self.take_up(run_id)
            work.go_on()
        if not self._journal.result(run_id).stats.in_progress:
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON):
                    await work.over.wait()

    async def leave(self) -> None:
        """Begin no more, dial nobody new, and leave the calls on the line to whoever resumes them."""
        self.leaving.set()
        works = list(self._works)
        await asyncio.gather(*(work.leave() for work in works))
        tasks = [work.task for work in works if work.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVING_LIMIT + LAST_WORDS)
        with suppress(JournalError):
            for run_id in [work.begun.result() for work in works if work.is_promised]:
                if not self._journal.result(run_id).run.finished:
                    log.info("Run %s is left unfinished; %s", run_id, _LOST if self._exchange.simulate else _KEPT)

    def _refuse_too_many(self) -> None:
        if len(self) >= MOST:
            raise Problem(429, BUSY)

    def _known(self, request: RequestKey) -> Work | None:
        for work in self._works:
            if work.request is not None and work.request.key == request.key:
                _must_be_same(work.request, request)
                return work
        found = self._journal.requested(request.key)
        if found is None:
            return None
        known, run_id = found
        _must_be_same(known, request)
        return self.working_on(run_id) or self._known_to_journal(run_id)

    def _known_to_journal(self, run_id: str) -> Work:
        run = self._journal.result(run_id).run
        if run.finished:
            return Work.past(run_id)
        if run.simulated and not self._journal.is_worked_on(run_id):
            raise Problem(409, NO_SIMULATOR, runId=run_id)
        self._refuse_too_many()
        return self.take_up(run_id)

    def _start(self, work: Work, step: Step) -> Work:
        self._works.add(work)
        work.task = asyncio.ensure_future(self._carry_out(work, step))
        return work

    async def _carry_out(self, work: Work, step: Step) -> None:
        try:
            while (halt := await self._tried(work, step)) is not None:
                step = self._go_on  # all that was asked for is in the journal, so none of it is held while it waits
                if self.leaving.is_set() or not await self._is_to_be_tried(work, halt):
                    break
        except asyncio.CancelledError:
            if not work.is_promised:
                work.failed(Problem(503, STOPPING))
        except Exception as error:
            work.failed(error)
        finally:
            self._works.discard(work)
            for run_id in [each for each, one in self._by_id.items() if one is work]:
                del self._by_id[run_id]
            work.end()

    async def _tried(self, work: Work, step: Step) -> Halt | None:
        try:
            return await step(work)
        except (IllegalTransition, NoSuchRun):
            raise
        except RunLocked:
            return _ELSEWHERE
        except ConciergeError as error:
            if not work.is_promised:
                raise
            return Halt(error.message)
        finally:
            work.let_go()
            self._left.free(work)

    async def _call(self, work: Work, order: Order, settings: Settings) -> Halt | None:
        async with drafted_in(self._journal, order, settings, exchange=self._exchange) as run, run.connected():
            self._by_id[run.id] = work
            work.hold(run)
            return _halt(await run.start(work.tell, on_caller=work.found))

    async def _go_on(self, work: Work) -> Halt | None:
        async with continued_in(self._journal, work.begun.result(), self._exchange) as run:
            known = run.result()
            if known.run.finished:
                return None
            work.hold(run)
            if run.is_stopped and not known.stats.in_progress:  # nothing is left to be asked for
                return _halt(await run.start(work.tell))
            async with self._left.held(work, known), run.connected():
                return _halt(await run.start(work.tell, on_caller=work.found))

    async def _is_to_be_tried(self, work: Work, halt: Halt) -> bool:
        """Wait until the run is to be tried again; whether it is at all."""
        run_id = work.begun.result()
        if halt is _ELSEWHERE:
            return await self._is_free(work, run_id)
        work.tries += 1
        seconds, left = self._waits(work.tries), (work.since + TAKES_UP - datetime.now(UTC)).total_seconds()
        next_ = _AGAIN.format(wait=count(round(seconds), "second")) if halt.by_itself else _BY_HAND.format(run_id)
        log.warning("Run %s stopped before it was finished. %s %s", run_id, masked(halt.message), next_)
        if seconds < left:
            work.tried_at = datetime.now(UTC) + timedelta(seconds=seconds) if halt.by_itself else None
            is_wanted = await work.sleep(seconds if halt.by_itself else left, f"{halt.message} {next_}")
            if is_wanted or halt.by_itself:
                return True
        log.warning(_LEFT, run_id, run_id)
        return False

    async def _is_free(self, work: Work, run_id: str) -> bool:
        log.warning("Run %s is worked on by another process, so it is left to that one while it does.", run_id)
        while self._journal.is_worked_on(run_id):
            await work.sleep(LOOK)
        run = self._journal.result(run_id).run
        if run.simulated and not run.finished:
            raise Problem(409, NO_SIMULATOR)
        return not run.finished


def _halt(result: RunResult) -> Halt | None:
    """Return why the run is not finished; None where it is."""
    if result.run.finished:
        return None
    stopped = result.run.stopped
    if stopped is None or stopped == STOPPED:
        return Halt(_CUT_SHORT)
    return Halt(stopped.message, by_itself=stopped.code not in _AFTER_CALLS)


def _must_be_same(known: RequestKey, request: RequestKey) -> None:
    if known.body != request.body:
        raise Problem(422, OTHER_BODY)
